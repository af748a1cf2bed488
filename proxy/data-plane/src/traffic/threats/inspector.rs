//! Everything by which requests are looked through.

use super::pool::InspectionPool;
use super::rule_sets::RuleSets;
use crate::limits::Limits;
use crate::traffic::held_memory::MemoryBudget;

/// Everything by which requests are looked through. One for all workers.
pub struct ThreatInspector {
    /// The rules in force.
    pub rule_sets: RuleSets,
    pub(crate) pool: InspectionPool,
    pub(crate) memory: MemoryBudget,
}

impl ThreatInspector {
    /// Without rules yet.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let number = |limit: u32| usize::try_from(limit).unwrap_or(usize::MAX);
        Self {
            rule_sets: RuleSets::default(),
            pool: InspectionPool::new(
                number(limits.inspection_threads),
                number(limits.inspection_queue),
            ),
            memory: MemoryBudget::new(number(limits.inspection_memory.0)),
        }
    }
}
