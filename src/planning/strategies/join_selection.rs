//! JoinSelection: which algorithm joins, and which side is built.
//!
//! With equal keys: hints first where they can be honoured, then broadcast hash join by size, shuffled hash join, sort-merge join.
//! Without: broadcast nested loop join, Cartesian product. A hint that cannot be followed is passed over with a warning.

use std::sync::Arc;

use crate::base::warning::warn;
use crate::base::{DataType, Result, Scalar, settings};
use crate::expr::{ComparisonOp, Expr};
use crate::logical::statistics::{estimate, size_in_bytes};
use crate::logical::{Join, JoinHintStrategy, JoinType, LogicalPlan};
use crate::operators::{BuildSide, HashJoin, NestedLoopJoin, Operator, SortMergeJoin, SparkPlan};
use crate::planning::planner::Planner;

/// Of a limited memory, the share that a side may have to be broadcast by default.
const BROADCAST_SHARE: i64 = 16;

/// # Errors
/// Those of planning the inputs.
pub fn plan(planner: &Planner, logical: &LogicalPlan) -> Result<Option<Arc<SparkPlan>>> {
    let LogicalPlan::Join(join) = logical else { return Ok(None) };
    let operator = Selection::new(planner, join).choose();
    Ok(Some(SparkPlan::new(operator, vec![planner.plan(&join.left)?, planner.plan(&join.right)?])))
}

/// The equal keys of a join condition and what else it says.
#[derive(Debug, Default, PartialEq)]
pub struct EquiKeys {
    pub left: Vec<Expr>,
    pub right: Vec<Expr>,
    pub residual: Vec<Expr>,
}

impl EquiKeys {
    /// Splits the condition. `l <=> r` over values that can be NULL is two pairs: the values with a default in place of NULL, and
    /// whether they are NULL.
    pub fn extract(join: &Join) -> Self {
        let mut keys = EquiKeys::default();
        let (left, right) = (join.left.output_set(), join.right.output_set());
        for conjunct in join.condition.iter().flat_map(|c| c.clone().split_conjunction()) {
            let conjunct = match join.join_type {
                JoinType::NullAwareAnti => without_null_test(conjunct),
                _ => conjunct,
            };
            let Expr::Comparison { op: op @ (ComparisonOp::Equal | ComparisonOp::EqualNullSafe), left: l, right: r } = &conjunct else {
                keys.residual.push(conjunct);
                continue;
            };
            let (lr, rr) = (l.references(), r.references());
            let (l, r) = match () {
                () if lr.is_empty() || rr.is_empty() => {
                    keys.residual.push(conjunct);
                    continue;
                }
                () if lr.is_subset(&left) && rr.is_subset(&right) => (l.as_ref(), r.as_ref()),
                () if lr.is_subset(&right) && rr.is_subset(&left) => (r.as_ref(), l.as_ref()),
                () => {
                    keys.residual.push(conjunct);
                    continue;
                }
            };
            if *op == ComparisonOp::Equal || !(l.nullable() || r.nullable()) {
                keys.left.push(l.clone());
                keys.right.push(r.clone());
            } else if let Some(default) = default_value(&l.data_type()) {
                for (side, keys) in [(l, &mut keys.left), (r, &mut keys.right)] {
                    keys.push(Expr::Coalesce(vec![side.clone(), Expr::Literal(default.clone())]));
                    keys.push(Expr::IsNull(Box::new(side.clone())));
                }
            } else {
                keys.residual.push(conjunct);
            }
        }
        keys
    }
}

/// `l = r` of `l = r OR isnull(l = r)`, in which form NOT IN may arrive.
fn without_null_test(conjunct: Expr) -> Expr {
    match conjunct {
        Expr::Or(equal, null) if matches!(null.as_ref(), Expr::IsNull(e) if *e == equal) => *equal,
        other => other,
    }
}

/// Some value of a type, as Spark's `Literal.default`.
fn default_value(data_type: &DataType) -> Option<Scalar> {
    Some(match data_type {
        DataType::Null => Scalar::Null(DataType::Null),
        DataType::Boolean => Scalar::Boolean(false),
        DataType::Byte => Scalar::Byte(0),
        DataType::Short => Scalar::Short(0),
        DataType::Int => Scalar::Int(0),
        DataType::Long => Scalar::Long(0),
        DataType::Float => Scalar::Float(0.0),
        DataType::Double => Scalar::Double(0.0),
        DataType::Decimal { precision, scale } => Scalar::Decimal { value: 0, precision: *precision, scale: *scale },
        DataType::String => Scalar::string(""),
        DataType::Binary => Scalar::Binary(Arc::from([])),
        DataType::Date => Scalar::Date(0),
        DataType::Timestamp => Scalar::Timestamp(0),
        DataType::TimestampNtz => Scalar::TimestampNtz(0),
        DataType::YearMonthInterval => Scalar::YearMonthInterval(0),
        DataType::DayTimeInterval => Scalar::DayTimeInterval(0),
        DataType::Array(element) => Scalar::Array(vec![], element.as_ref().clone()),
        DataType::Map(..) | DataType::Struct(_) => return None,
    })
}

/// Whether a hash join may be built on that side.
fn can_build(join_type: &JoinType, side: BuildSide, broadcast: bool) -> bool {
    match join_type {
        JoinType::Inner | JoinType::Cross => true,
        JoinType::LeftOuter => !broadcast || side == BuildSide::Right,
        JoinType::RightOuter => !broadcast || side == BuildSide::Left,
        JoinType::FullOuter => !broadcast,
        JoinType::LeftSemi | JoinType::LeftAnti | JoinType::NullAwareAnti | JoinType::Existence(_) | JoinType::LeftSingle => {
            side == BuildSide::Right
        }
    }
}

fn not_supported(hint: JoinHintStrategy, reason: &str) {
    warn(format!("Hint ({hint}) is not supported in the query: {reason}."));
}

/// A join type in SQL's words.
fn in_words(join_type: &JoinType) -> &'static str {
    match join_type {
        JoinType::Inner => "inner",
        JoinType::Cross => "cross",
        JoinType::LeftOuter => "left outer",
        JoinType::RightOuter => "right outer",
        JoinType::FullOuter => "full outer",
        JoinType::LeftSemi => "left semi",
        JoinType::LeftAnti | JoinType::NullAwareAnti => "left anti",
        JoinType::Existence(_) => "existence",
        JoinType::LeftSingle => "left single",
    }
}

struct Selection<'a> {
    planner: &'a Planner<'a>,
    join: &'a Join,
    keys: EquiKeys,
    /// Estimated bytes, left and right.
    sizes: [f64; 2],
}

impl<'a> Selection<'a> {
    fn new(planner: &'a Planner<'a>, join: &'a Join) -> Self {
        let cost_based = planner.settings.bool(&settings::CBO_ENABLED);
        let size = |side: &LogicalPlan| if cost_based { estimate(side).size_bytes as f64 } else { size_in_bytes(side) };
        let sizes = [size(&join.left), size(&join.right)];
        Self { planner, join, keys: EquiKeys::extract(join), sizes }
    }

    fn choose(self) -> Operator {
        if self.join.join_type == JoinType::NullAwareAnti {
            // Only a hash table that knows whether a NULL key was among its rows answers NOT IN; a constant is no key.
            let hashed = self.planner.settings.bool(&settings::OPTIMIZE_NULL_AWARE_ANTI_JOIN)
                && self.keys.left.len() == 1
                && self.keys.residual.is_empty();
            return if hashed { Operator::BroadcastHashJoin(self.hash_join(BuildSide::Right)) } else { self.anti_with_null_test() };
        }
        if self.keys.left.is_empty() { self.without_keys() } else { self.with_keys() }
    }

    fn with_keys(self) -> Operator {
        if let Some(operator) = self.by_hint() {
            return operator;
        }
        if let Some(build) = self.pick(|s| self.legal(s, true) && self.can_broadcast(s)) {
            return Operator::BroadcastHashJoin(self.hash_join(build));
        }
        let prefer_sort = self.planner.settings.bool(&settings::PREFER_SORT_MERGE_JOIN);
        let hash = self.pick(|s| !prefer_sort && self.legal(s, false) && self.can_build_local_map(s) && self.much_smaller(s));
        if let Some(build) = hash {
            return Operator::ShuffledHashJoin(self.hash_join(build));
        }
        if self.can_sort_merge() {
            return self.sort_merge_join();
        }
        if self.join.join_type == JoinType::LeftSingle {
            return Operator::ShuffledHashJoin(self.hash_join(BuildSide::Right));
        }
        if self.join.join_type.is_inner() { self.cartesian() } else { self.nested_loop(self.smaller_side()) }
    }

    /// As the hints say: broadcast before merge before shuffled hash before Cartesian product, whichever side they are on.
    fn by_hint(&self) -> Option<Operator> {
        use JoinHintStrategy::*;
        if let Some(build) = self.hinted_side(Broadcast, true) {
            return Some(Operator::BroadcastHashJoin(self.hash_join(build)));
        }
        if self.hinted(Merge) {
            if self.can_sort_merge() {
                return Some(self.sort_merge_join());
            }
            not_supported(Merge, "keys without an order");
        }
        if let Some(build) = self.hinted_side(ShuffleHash, false) {
            return Some(Operator::ShuffledHashJoin(self.hash_join(build)));
        }
        self.hinted_cartesian()
    }

    fn without_keys(self) -> Operator {
        use JoinHintStrategy::*;
        if let Some(hint) = [self.join.hint.left, self.join.hint.right].into_iter().flatten().next()
            && (self.hinted(Merge) || self.hinted(ShuffleHash))
        {
            not_supported(hint, "no equi-join keys");
        }
        let build = |qualifies: &dyn Fn(BuildSide) -> bool| match [BuildSide::Left, BuildSide::Right].map(qualifies) {
            [true, true] => Some(self.desired_side()),
            [true, false] => Some(BuildSide::Left),
            [false, true] => Some(BuildSide::Right),
            [false, false] => None,
        };
        if let Some(build) = build(&|s| self.hint(s) == Some(Broadcast)) {
            return self.nested_loop(build);
        }
        if let Some(cartesian) = self.hinted_cartesian() {
            return cartesian;
        }
        match build(&|s| self.can_broadcast(s)) {
            Some(build) => self.nested_loop(build),
            None if self.join.join_type.is_inner() => self.cartesian(),
            None => self.nested_loop(self.desired_side()),
        }
    }

    fn hinted_cartesian(&self) -> Option<Operator> {
        let hinted = self.hinted(JoinHintStrategy::ShuffleReplicateNl);
        if hinted && !self.join.join_type.is_inner() {
            not_supported(JoinHintStrategy::ShuffleReplicateNl, &format!("{} join", in_words(&self.join.join_type)));
        }
        (hinted && self.join.join_type.is_inner()).then(|| self.cartesian())
    }

    /// The side to build as hinted, if the join type admits it.
    fn hinted_side(&self, strategy: JoinHintStrategy, broadcast: bool) -> Option<BuildSide> {
        let build = self.pick(|s| self.legal(s, broadcast) && self.hint(s) == Some(strategy));
        if build.is_none() {
            for (side, name) in [(BuildSide::Left, "left"), (BuildSide::Right, "right")] {
                if self.hint(side) == Some(strategy) {
                    not_supported(strategy, &format!("build {name} for {} join", in_words(&self.join.join_type)));
                }
            }
        }
        build
    }

    /// The qualifying side; of two the smaller.
    fn pick(&self, qualifies: impl Fn(BuildSide) -> bool) -> Option<BuildSide> {
        match [BuildSide::Left, BuildSide::Right].map(&qualifies) {
            [true, true] => Some(self.smaller_side()),
            [true, false] => Some(BuildSide::Left),
            [false, true] => Some(BuildSide::Right),
            [false, false] => None,
        }
    }

    /// Ties go right.
    fn smaller_side(&self) -> BuildSide {
        if self.sizes[1] <= self.sizes[0] { BuildSide::Right } else { BuildSide::Left }
    }

    /// Of a nested loop join: the smaller side where both are as good, else the side that lets the other stream.
    fn desired_side(&self) -> BuildSide {
        match self.join.join_type {
            JoinType::Inner | JoinType::Cross | JoinType::FullOuter => self.smaller_side(),
            JoinType::RightOuter => BuildSide::Left,
            JoinType::LeftOuter
            | JoinType::LeftSemi
            | JoinType::LeftAnti
            | JoinType::NullAwareAnti
            | JoinType::Existence(_)
            | JoinType::LeftSingle => BuildSide::Right,
        }
    }

    fn legal(&self, side: BuildSide, broadcast: bool) -> bool {
        can_build(&self.join.join_type, side, broadcast)
    }

    fn hint(&self, side: BuildSide) -> Option<JoinHintStrategy> {
        match side {
            BuildSide::Left => self.join.hint.left,
            BuildSide::Right => self.join.hint.right,
        }
    }

    fn hinted(&self, strategy: JoinHintStrategy) -> bool {
        [self.join.hint.left, self.join.hint.right].contains(&Some(strategy))
    }

    fn threshold(&self) -> i64 {
        self.planner.settings.bytes(&settings::AUTO_BROADCAST_JOIN_THRESHOLD)
    }

    /// Our own default leaves memory to others: a broadcast cannot spill.
    fn can_broadcast(&self, side: BuildSide) -> bool {
        let settings = self.planner.settings;
        let limit = settings.bytes(&settings::MEMORY_LIMIT);
        let ours = limit > 0 && !settings.plans_as_spark() && !settings.is_set(&settings::AUTO_BROADCAST_JOIN_THRESHOLD);
        let threshold = if ours { self.threshold().min(limit / BROADCAST_SHARE) } else { self.threshold() };
        threshold >= 0 && self.sizes[side.index()] <= threshold as f64
    }

    fn can_build_local_map(&self, side: BuildSide) -> bool {
        self.sizes[side.index()] < self.threshold() as f64 * self.planner.settings.shuffle_partitions() as f64
    }

    fn much_smaller(&self, side: BuildSide) -> bool {
        let factor = self.planner.settings.int(&settings::SHUFFLED_HASH_JOIN_FACTOR).max(0) as f64;
        self.sizes[side.index()] * factor <= self.sizes[side.stream().index()]
    }

    /// A sort-merge join must order its keys, and cannot check that a match is the only one.
    fn can_sort_merge(&self) -> bool {
        self.join.join_type != JoinType::LeftSingle && self.keys.left.iter().all(|k| k.data_type().is_orderable())
    }

    fn hash_join(&self, build: BuildSide) -> HashJoin {
        HashJoin {
            left_keys: self.keys.left.clone(),
            right_keys: self.keys.right.clone(),
            join_type: self.join.join_type.clone(),
            build,
            condition: Expr::conjunction(self.keys.residual.clone()),
        }
    }

    fn sort_merge_join(&self) -> Operator {
        Operator::SortMergeJoin(SortMergeJoin {
            left_keys: self.keys.left.clone(),
            right_keys: self.keys.right.clone(),
            join_type: self.join.join_type.clone(),
            condition: Expr::conjunction(self.keys.residual.clone()),
            skew: false,
        })
    }

    /// `NOT IN` by comparing every pair of rows: one that may be equal for all that is known is a match.
    fn anti_with_null_test(&self) -> Operator {
        let open = |equal: Expr| Expr::Or(Box::new(equal.clone()), Box::new(Expr::IsNull(Box::new(equal))));
        let condition = Expr::conjunction(self.join.condition.clone().into_iter().flat_map(Expr::split_conjunction).map(open));
        let anti = NestedLoopJoin { join_type: JoinType::LeftAnti, build: BuildSide::Right, condition };
        Operator::BroadcastNestedLoopJoin(anti)
    }

    fn nested_loop(&self, build: BuildSide) -> Operator {
        Operator::BroadcastNestedLoopJoin(self.nested(build))
    }

    fn cartesian(&self) -> Operator {
        Operator::CartesianProduct(self.nested(BuildSide::Right))
    }

    fn nested(&self, build: BuildSide) -> NestedLoopJoin {
        NestedLoopJoin { join_type: self.join.join_type.clone(), build, condition: self.join.condition.clone() }
    }
}
