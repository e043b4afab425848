//! The layers of the workspace: a module names only modules on layers below its own, in the lists of `docs/modules.md`.

use std::path::Path;

use gossip_testing::layers::Crate;

#[test]
fn no_arrow_points_up() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = std::fs::read_to_string(root.join("docs/modules.md")).unwrap();
    let section = text.split("\n## The layers\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut checked = 0;
    for block in section.split("```text layers ").skip(1) {
        let (name, rest) = block.split_once('\n').unwrap();
        let layers = rest.split("```").next().unwrap();
        let faults = Crate::read(&root.join(name).join("src")).check(layers);
        let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert!(lines.is_empty(), "{name}, against the layers in docs/modules.md:\n{}", lines.join("\n"));
        checked += 1;
    }
    assert!(checked >= 4, "the lists of {checked} crates were found");
}
