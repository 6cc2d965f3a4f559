//! The counters of the index against those of backtests, `risk::model`: the same events give the same counts.

#![allow(clippy::arithmetic_side_effects)] // a test may fail

use proptest::prelude::*;

use super::*;
use crate::risk::model::Model;

/// A step: how long after the one before, which counter at which key, what value, how much earlier the event lies.
type Step = (u64, usize, u64, u64, u64);

const MEASURES: [Measure; 6] = [
    Measure::Count,
    Measure::Sum,
    Measure::Last,
    Measure::FirstSeen,
    Measure::Distinct { exact_up_to: 3 },
    Measure::Distinct { exact_up_to: 64 },
];

fn asked((_, measure, key, value, earlier): Step, now: UnixTime) -> CounterAsk {
    let amount = match MEASURES[measure] {
        Measure::Distinct { .. } => Amount::Member((value % 8).to_le_bytes()),
        Measure::Count | Measure::FirstSeen => Amount::Number(1),
        Measure::Sum | Measure::Last => Amount::Number(i64::try_from(value).unwrap()),
    };
    let number = key * 100 + u64::try_from(measure).unwrap();
    let ask = counter(number, MEASURES[measure], amount, now.minus(Duration::from_millis(earlier)));
    // Each fourth value only looks.
    CounterAsk { add: ask.add.filter(|_| value % 4 != 0), ..ask }
}

proptest! {
    #[test]
    fn backtests_count_as_the_index_does(
        steps in proptest::collection::vec((0_u64..20_000, 0_usize..6, 0_u64..3, 0_u64..100, 0_u64..90_000), 1..200),
    ) {
        let (index, mut model) = (Index::new(), Model::default());
        let mut now = UnixTime::from_secs(1_700_000_000);
        for (number, step) in (0_u64..).zip(steps) {
            now = now.plus(Duration::from_millis(step.0));
            let counters = [asked(step, now)];
            prop_assert_eq!(told(&index, number, &counters, now), model.tally(&counters, now), "step {}: {:?}", number, step);
        }
    }
}
