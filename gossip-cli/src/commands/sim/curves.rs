//! The curves of a run, as SVG.

use core::fmt::Write;

use gossip_sim::Trial;

/// How large a panel is, and how far panels are apart.
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 140.0;
const MARGIN: f64 = 60.0;

/// What is drawn of each round.
#[derive(Debug, Default)]
pub(super) struct Curves {
    /// How many of 100 nodes know the update that is under way.
    informed: Vec<f64>,
    /// The greatest phi that any node has of a node that was killed.
    phi: Vec<f64>,
    /// Bytes that all nodes sent in the round.
    bytes: Vec<f64>,
    sent: u64,
}

impl Curves {
    /// Takes down a round.
    pub(super) fn take(&mut self, trial: &Trial) {
        self.informed.push(trial.informed() * 100.0);
        self.phi.push(trial.phi_of_killed());
        let sent = trial.cluster().traffic().bytes;
        self.bytes.push((sent - self.sent) as f64);
        self.sent = sent;
    }

    /// The drawing.
    pub(super) fn draw(&self) -> String {
        let height = 3.0 * (HEIGHT + MARGIN) + MARGIN;
        let width = WIDTH + 2.0 * MARGIN;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
        );
        for (at, (title, curve)) in [
            ("Nodes that know the update under way, in percent", &self.informed),
            ("Greatest phi of a killed node", &self.phi),
            ("Bytes in a round", &self.bytes),
        ]
        .into_iter()
        .enumerate()
        {
            panel(&mut svg, MARGIN + at as f64 * (HEIGHT + MARGIN), title, curve);
        }
        svg.push_str("</svg>\n");
        svg
    }
}

fn panel(svg: &mut String, top: f64, title: &str, curve: &[f64]) {
    let greatest = curve.iter().copied().fold(1.0, f64::max);
    let step = WIDTH / (curve.len().max(2) - 1) as f64;
    let bottom = top + HEIGHT;
    let points: String = curve
        .iter()
        .enumerate()
        .map(|(round, value)| {
            format!("{:.1},{:.1} ", MARGIN + round as f64 * step, bottom - value / greatest * HEIGHT)
        })
        .collect();
    let (left, right, rounds) = (MARGIN, MARGIN + WIDTH, curve.len());
    let _ = write!(
        svg,
        "<text x=\"{left}\" y=\"{:.1}\">{title}</text>\n\
         <path d=\"M{left},{top}V{bottom}H{right}\" fill=\"none\" stroke=\"gray\"/>\n\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{greatest:.0}</text>\n\
         <text x=\"{right}\" y=\"{:.1}\" text-anchor=\"end\">round {rounds}</text>\n\
         <polyline points=\"{}\" fill=\"none\" stroke=\"#1565c0\"/>\n",
        top - 8.0,
        left - 6.0,
        top + 10.0,
        bottom + 16.0,
        points.trim_end()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_has_a_point_for_each_round() {
        let curves =
            Curves { informed: vec![0.0, 50.0, 100.0], phi: vec![0.0; 3], bytes: vec![9.0; 3], sent: 0 };
        let svg = curves.draw();
        assert_eq!(svg.matches("<polyline").count(), 3);
        assert!(svg.contains("60.0,200.0 440.0,130.0 820.0,60.0\""), "{svg}");
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    }
}
