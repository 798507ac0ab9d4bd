//! The report: a table on stdout as the figures come, everything as JSON at the end.

use std::io::Write as _;
use std::path::Path;

use serde::Serialize;

use super::Options;
use super::figures::{Figure, Goal, Spread, Verdict};
use super::footprint::{anonymous, resident};
use super::paired::Comparison;
use crate::error::{BenchError, During as _};
use crate::process::Memory;

/// The baseline's 99th percentile at half load on a quiet machine is well below this. Above it something else had the
/// core, and the difference of two tails says nothing about either.
const QUIET_P99_MICROS: f64 = 1000.0;

/// All that was measured.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    machine: Machine,
    calibration: bool,
    connections: u32,
    figures: Vec<Figure>,
    comparisons: Vec<(String, Comparison)>,
}

/// What the figures depend on.
#[derive(Debug, Serialize)]
struct Machine {
    cpu: String,
    kernel: String,
    cores: usize,
    load_average: String,
}

impl Machine {
    fn this() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let model =
            cpuinfo.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(':'));
        Self {
            cpu: model.map_or("unknown", |(_, name)| name.trim()).to_owned(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            cores: cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
            load_average: read("/proc/loadavg").trim().to_owned(),
        }
    }
}

impl Report {
    /// Prints the head of the table.
    pub(super) fn begin(options: &Options) -> Result<Self, BenchError> {
        let machine = Machine::this();
        say(&format!(
            "{}, {} cores, Linux {}; load average {}",
            machine.cpu, machine.cores, machine.kernel, machine.load_average
        ))?;
        say(&format!(
            "{} rounds of {} ms, {} connections; server on core {}, load on core {}{}\n",
            options.rounds,
            options.measure_ms,
            options.connections,
            options.server_core,
            options.load_core,
            if options.calibrate { "; CALIBRATION: baselines against themselves" } else { "" }
        ))?;
        say(&format!(
            "{:<60} {:>10} {:>10} {:>10} {:<6} {:<8}",
            "figure", "median", "min", "max", "unit", "goal"
        ))?;
        Ok(Self {
            machine,
            calibration: options.calibrate,
            connections: options.connections,
            figures: Vec::new(),
            comparisons: Vec::new(),
        })
    }

    /// Prints and keeps one figure.
    pub(super) fn add(&mut self, figure: Figure) -> Result<(), BenchError> {
        let Spread { median, min, max } = figure.spread;
        let goal = match figure.goal {
            Some(Goal::AtLeast(bound)) => format!(">= {bound}"),
            Some(Goal::AtMost(bound)) => format!("<= {bound}"),
            None => String::new(),
        };
        let verdict = match figure.verdict {
            Some(Verdict::Met) => "met",
            Some(Verdict::Missed) => "MISSED",
            Some(Verdict::Undecided) => "undecided",
            None => "",
        };
        let [median, min, max] = [median, min, max].map(number);
        let row = format!(
            "{:<60} {median:>10} {min:>10} {max:>10} {:<6} {goal:<8} {verdict}",
            figure.name, figure.unit
        );
        say(row.trim_end())?;
        self.figures.push(figure);
        Ok(())
    }

    /// The figures of a closed-loop comparison. Both ratios are judged, if there is a goal: when the load's core and not the server's was
    /// the bottleneck, the ratio of throughputs flatters and the ratio of CPU times does not.
    pub(super) fn throughput(
        &mut self,
        name: &str,
        seen: &Comparison,
        goal: Option<Goal>,
    ) -> Result<(), BenchError> {
        let [baseline, subject] = seen.sides();
        let pairs = [
            ("throughput", "1/s", seen.throughputs()),
            ("CPU per request", "µs", seen.cpu_micros()),
            ("share of its core used", "", seen.busy()),
        ];
        for (what, unit, [of_baseline, of_subject]) in pairs {
            self.add(Figure::new(format!("{name}: {what}, {baseline}"), unit, of_baseline))?;
            self.add(Figure::new(format!("{name}: {what}, {subject}"), unit, of_subject))?;
        }
        if let Some(cpu) = seen.store_cpu_micros() {
            self.add(Figure::new(format!("{name}: CPU of the store per request"), "µs", cpu))?;
        }
        let ratios =
            [("ratio of throughputs", seen.throughput_ratio()), ("ratio of CPU times", seen.cpu_ratio())];
        for (what, ratio) in ratios {
            let name = format!("{name}: {what}");
            self.add(match goal {
                Some(goal) => Figure::judged(name, "", ratio, goal),
                None => Figure::new(name, "", ratio),
            })?;
        }
        self.comparisons.push((format!("{name}, closed loop"), seen.clone()));
        Ok(())
    }

    /// The figures of an open-loop comparison. A tail is judged only if the baseline had none in any round.
    pub(super) fn latency(
        &mut self,
        name: &str,
        seen: &Comparison,
        rate: f64,
        goal: Goal,
    ) -> Result<(), BenchError> {
        let [baseline, subject] = seen.sides();
        self.add(Figure::new(format!("{name}: half load"), "1/s", Spread::single(rate)))?;
        let (_, added) = seen.quantile(|latency| latency.p50);
        self.add(Figure::new(format!("{name}: p50 added at half load"), "µs", added))?;
        let ([of_baseline, of_subject], added) = seen.quantile(|latency| latency.p99);
        self.add(Figure::new(format!("{name}: p99 at half load, {baseline}"), "µs", of_baseline))?;
        self.add(Figure::new(format!("{name}: p99 at half load, {subject}"), "µs", of_subject))?;
        let disturbed = of_baseline.max > QUIET_P99_MICROS;
        let added = Figure::judged(format!("{name}: p99 added at half load"), "µs", added, goal);
        self.add(added.undecided_if(disturbed))?;
        self.comparisons.push((format!("{name}, open loop"), seen.clone()));
        Ok(())
    }

    /// The figures of what two processes keep in memory, and the subject's as a share of the baseline's.
    pub(super) fn memory(
        &mut self,
        name: &str,
        [baseline, subject]: [&'static str; 2],
        [of_baseline, of_subject]: [Memory; 2],
        goal: Goal,
    ) -> Result<(), BenchError> {
        for (side, memory) in [(baseline, of_baseline), (subject, of_subject)] {
            self.add(Figure::new(format!("{name}, {side}"), "MB", resident(memory)))?;
            self.add(Figure::new(format!("{name}, anonymous, {side}"), "MB", anonymous(memory)))?;
        }
        let share = Spread::single(resident(of_subject).median / resident(of_baseline).median);
        self.add(Figure::judged(format!("{name}: ratio"), "", share, goal))
    }

    /// Writes the JSON file, if one is wanted.
    pub(super) fn finish(&self, json: Option<&Path>) -> Result<(), BenchError> {
        let Some(path) = json else { return Ok(()) };
        let text = serde_json::to_string_pretty(self).during("writing the report")?;
        std::fs::write(path, text).during(format!("writing {}", path.display()))
    }

    /// Whether no judged figure misses its goal.
    pub(super) fn all_met(&self) -> bool {
        self.figures.iter().all(|figure| figure.verdict != Some(Verdict::Missed))
    }
}

/// As many decimals as the size of a number deserves.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

fn say(line: &str) -> Result<(), BenchError> {
    writeln!(std::io::stdout(), "{line}").during("printing")
}
