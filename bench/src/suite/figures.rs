//! Figures: what was measured over the rounds, and what it should be.

use serde::Serialize;

/// Median and extremes of a figure over the rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Spread {
    /// Of at least one value; of none, all zero.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
        let last = sorted.len().saturating_sub(1);
        Self { median: f64::midpoint(at(last / 2), at(sorted.len() / 2)), min: at(0), max: at(last) }
    }

    /// A figure that has no rounds.
    pub(super) fn single(value: f64) -> Self {
        Self { median: value, min: value, max: value }
    }
}

/// What the median of a figure must reach.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    /// Whether a median reaches it.
    pub(super) fn met_by(self, median: f64) -> bool {
        match self {
            Self::AtLeast(bound) => median >= bound,
            Self::AtMost(bound) => median <= bound,
        }
    }
}

/// What a judged figure comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    Met,
    Missed,
    /// The machine was too busy for the figure to mean anything.
    Undecided,
}

/// One line of the report.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Figure {
    pub(super) name: String,
    pub(super) unit: &'static str,
    #[serde(flatten)]
    pub(super) spread: Spread,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) goal: Option<Goal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) verdict: Option<Verdict>,
}

impl Figure {
    /// A figure that is only reported.
    pub(super) fn new(name: impl Into<String>, unit: &'static str, spread: Spread) -> Self {
        Self { name: name.into(), unit, spread, goal: None, verdict: None }
    }

    /// A figure that is judged.
    pub(super) fn judged(name: impl Into<String>, unit: &'static str, spread: Spread, goal: Goal) -> Self {
        let verdict = if goal.met_by(spread.median) { Verdict::Met } else { Verdict::Missed };
        Self { goal: Some(goal), verdict: Some(verdict), ..Self::new(name, unit, spread) }
    }

    /// The same figure, without a verdict when `disturbed`.
    pub(super) fn undecided_if(self, disturbed: bool) -> Self {
        let verdict = self.verdict.map(|verdict| if disturbed { Verdict::Undecided } else { verdict });
        Self { verdict, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(Spread::of([4.0, 1.0, 3.0, 2.0]), Spread { median: 2.5, min: 1.0, max: 4.0 });
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 3.0 });
    }

    #[test]
    fn a_goal_is_met_at_its_bound_and_missed_beyond() {
        assert!(Goal::AtLeast(0.7).met_by(0.7) && !Goal::AtLeast(0.7).met_by(0.69));
        assert!(Goal::AtMost(20.0).met_by(20.0) && !Goal::AtMost(20.0).met_by(20.1));
    }

    #[test]
    fn a_disturbed_figure_is_neither_met_nor_missed() {
        let figure = || Figure::judged("f", "µs", Spread::single(5.0), Goal::AtMost(10.0));
        assert_eq!(figure().undecided_if(false).verdict, Some(Verdict::Met));
        assert_eq!(figure().undecided_if(true).verdict, Some(Verdict::Undecided));
    }
}
