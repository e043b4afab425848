//! Draws `benches/pictures/*.svg` from the record: cost against the number of endpoints, one picture for each step.

use std::collections::BTreeMap;
use std::process::ExitCode;

use gossip_peers::record::{self, Line};
use plotters::prelude::*;

type AnyError = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let drawn = record::read()
        .map_err(AnyError::from)
        .and_then(|lines| record::STEPS.into_iter().try_for_each(|(step, file)| draw(step, file, &lines)));
    match drawn {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("draw: {error}");
            ExitCode::FAILURE
        }
    }
}

fn draw(step: &str, file: &str, lines: &[Line]) -> Result<(), AnyError> {
    let mut curves: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for line in lines.iter().filter(|line| line.step == step) {
        curves.entry(&line.name).or_default().push((line.known.into(), line.nanos));
    }
    let nanos = || curves.values().flatten().map(|(_, nanos)| *nanos);
    let least = nanos().fold(f64::INFINITY, f64::min);
    let most = nanos().fold(0.0, f64::max);
    if !most.is_normal() {
        return Err(format!("the record has nothing of \"{step}\"").into());
    }
    let path = record::folder().join("pictures").join(format!("{file}.svg"));
    let area = SVGBackend::new(&path, (900, 520)).into_drawing_area();
    area.fill(&WHITE)?;
    // The legend has the right third.
    let (plot, legend) = area.split_horizontally(600);
    let mut chart = ChartBuilder::on(&plot)
        .caption(step, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d((10.0..100_000.0).log_scale(), (least / 1.5..most * 1.5).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("endpoints known")
        .y_desc("nanoseconds for each digest, state or endpoint")
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| format!("{y}"))
        .light_line_style(WHITE)
        .draw()?;
    for (nth, (name, points)) in curves.iter().enumerate() {
        let color = Palette99::pick(nth).to_rgba();
        // What others do is drawn with thick lines, baselines with thin ones.
        let width = if name.starts_with("floor") || name.starts_with("bare") { 1 } else { 3 };
        chart.draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(width)))?;
        chart.draw_series(points.iter().map(|point| Circle::new(*point, 2 + width, color.filled())))?;
        let y = 60 + 26 * i32::try_from(nth)?;
        legend.draw(&PathElement::new([(4, y), (28, y)], color.stroke_width(width)))?;
        legend.draw(&Text::new(*name, (36, y - 7), ("sans-serif", 14)))?;
    }
    area.present()?;
    Ok(())
}
