//! Where the values of registers go.
//!
//! Owns what a register means: a value, or which of several states holds.

use headcount_format::MetricType;
use headcount_format::record::Family;

use crate::dialect::Tally;
use crate::intake::{Asking, Intake, LeftOut, OriginId, Owner};
use crate::table::{Part, SlotId, Table};

/// Where the value of a register goes.
#[derive(Clone, Debug, Default)]
pub(super) enum Levels {
    #[default]
    Nowhere,
    /// As it is.
    Value(SlotId),
    /// It is the number of a state: to each of them goes whether it holds.
    States(Box<[SlotId]>),
}

impl Levels {
    /// Whether only the living contribute.
    pub(super) fn are_live(&self, table: &Table) -> bool {
        match self {
            Levels::Nowhere => false,
            Levels::Value(slot) => table.is_live(*slot),
            Levels::States(slots) => slots.iter().any(|slot| table.is_live(*slot)),
        }
    }

    pub(super) fn tell(&self, value: f64, time: f64, tally: &mut Tally<'_>) {
        match self {
            Levels::Nowhere => {}
            Levels::Value(slot) => tally.add(*slot, value, time),
            Levels::States(slots) => {
                for (state, &slot) in slots.iter().enumerate() {
                    tally.add(slot, if value == state as f64 { 1.0 } else { 0.0 }, time);
                }
            }
        }
    }
}

/// The slots of a register of `family` of `owner`.
pub(super) fn level_slots(
    family: &Family,
    origin: OriginId,
    owner: Owner<'_>,
    intake: &mut Intake,
    asking: Asking,
) -> Result<Levels, LeftOut> {
    Ok(match family.metric_type {
        MetricType::StateSet => {
            Levels::States(intake.gauge(origin, owner, &family.states, asking)?.into())
        }
        MetricType::Gauge => Levels::Value(intake.gauge(origin, owner, &[], asking)?[0]),
        _ => Levels::Value(intake.part(origin, Part::Whole)),
    })
}
