//! What operators require of their children and provide to their parents.

use crate::base::{Attribute, Result};
use crate::expr::traverse::map_orders;
use crate::expr::{Expr, SortOrder};

use super::BroadcastMode;
use super::plan::map_list;

/// Most ways in which a partitioning or ordering is carried through a projection that renames its columns.
const PROJECTION_CANDIDATE_LIMIT: usize = 100;
/// Most hash partitionings that an inner broadcast join derives through its key pairs.
const BROADCAST_EXPAND_LIMIT: usize = 8;

/// What an operator requires of a child's rows across partitions.
#[derive(Debug, Clone, PartialEq)]
pub enum Distribution {
    Unspecified,
    /// All rows in one partition.
    AllTuples,
    /// Rows with equal values of these expressions in one partition. Never empty.
    Clustered(Vec<Expr>),
    /// Partitions follow each other in this order.
    Ordered(Vec<SortOrder>),
    Broadcast(BroadcastMode),
}

impl Distribution {
    /// Clustered by `keys`; by no keys, all rows belong together.
    pub fn clustered(keys: &[Expr]) -> Self {
        if keys.is_empty() { Distribution::AllTuples } else { Distribution::Clustered(keys.to_vec()) }
    }

    /// The partitioning that a shuffle into `partitions` makes for this requirement; `None` where no shuffle helps.
    pub fn create_partitioning(&self, partitions: usize) -> Option<Partitioning> {
        match self {
            Distribution::Unspecified => None,
            Distribution::AllTuples => Some(Partitioning::Single),
            Distribution::Clustered(keys) => Some(Partitioning::Hash { exprs: keys.clone(), partitions }),
            Distribution::Ordered(order) => Some(Partitioning::Range { order: order.clone(), partitions }),
            Distribution::Broadcast(mode) => Some(Partitioning::Broadcast(mode.clone())),
        }
    }
}

/// What an operator guarantees about its rows across partitions.
#[derive(Debug, Clone, PartialEq)]
pub enum Partitioning {
    Unknown(usize),
    RoundRobin(usize),
    Single,
    Hash {
        exprs: Vec<Expr>,
        partitions: usize,
    },
    Range {
        order: Vec<SortOrder>,
        partitions: usize,
    },
    /// All of these hold.
    Collection(Vec<Partitioning>),
    Broadcast(BroadcastMode),
}

impl Partitioning {
    /// How many partitions; 0 where it is not known before execution.
    pub fn num_partitions(&self) -> usize {
        match self {
            Partitioning::Unknown(n) | Partitioning::RoundRobin(n) => *n,
            Partitioning::Hash { partitions, .. } | Partitioning::Range { partitions, .. } => *partitions,
            Partitioning::Single | Partitioning::Broadcast(_) => 1,
            Partitioning::Collection(all) => all.first().map_or(0, Partitioning::num_partitions),
        }
    }

    /// The partitioning's own expressions.
    pub fn expressions(&self) -> Vec<&Expr> {
        match self {
            Partitioning::Unknown(_) | Partitioning::RoundRobin(_) | Partitioning::Single => vec![],
            Partitioning::Hash { exprs, .. } => exprs.iter().collect(),
            Partitioning::Range { order, .. } => order.iter().map(|o| &o.expr).collect(),
            Partitioning::Collection(all) => all.iter().flat_map(Partitioning::expressions).collect(),
            Partitioning::Broadcast(mode) => mode.keys().iter().collect(),
        }
    }

    /// # Errors
    /// Those of `f`.
    pub fn map_expressions(self, f: &mut dyn FnMut(Expr) -> Result<Expr>) -> Result<Self> {
        Ok(match self {
            same @ (Partitioning::Unknown(_) | Partitioning::RoundRobin(_) | Partitioning::Single) => same,
            Partitioning::Hash { exprs, partitions } => Partitioning::Hash { exprs: map_list(exprs, f)?, partitions },
            Partitioning::Range { order, partitions } => Partitioning::Range { order: map_orders(order, f)?, partitions },
            Partitioning::Collection(all) => {
                Partitioning::Collection(all.into_iter().map(|p| p.map_expressions(f)).collect::<Result<_>>()?)
            }
            Partitioning::Broadcast(mode) => Partitioning::Broadcast(mode.map_expressions(f)?),
        })
    }

    /// Whether rows so partitioned meet `required`. With `all_keys` a clustering needs exactly its keys in the partitioning, not
    /// just some of them (`sql.requireAllClusterKeysForDistribution`).
    pub fn satisfies(&self, required: &Distribution, all_keys: bool) -> bool {
        if let Partitioning::Collection(all) = self {
            return all.iter().any(|p| p.satisfies(required, all_keys));
        }
        match required {
            Distribution::Unspecified => true,
            Distribution::Broadcast(mode) => matches!(self, Partitioning::Broadcast(m) if m == mode),
            _ if matches!(self, Partitioning::Broadcast(_)) => false,
            Distribution::AllTuples => self.num_partitions() == 1,
            Distribution::Clustered(keys) => match self {
                Partitioning::Single => true,
                Partitioning::Hash { .. } | Partitioning::Range { .. } => {
                    let own = self.expressions();
                    if all_keys { own.into_iter().eq(keys) } else { own.into_iter().all(|e| keys.contains(e)) }
                }
                _ => false,
            },
            Distribution::Ordered(wanted) => match self {
                Partitioning::Single => true,
                Partitioning::Range { order, .. } => order.iter().zip(wanted).all(|(a, b)| a == b),
                _ => false,
            },
        }
    }

    /// The partitionings that hold at once, collections flattened.
    pub fn flatten(self) -> Vec<Partitioning> {
        match self {
            Partitioning::Collection(all) => all.into_iter().flat_map(Partitioning::flatten).collect(),
            one => vec![one],
        }
    }

    fn collection(mut all: Vec<Partitioning>, partitions: usize) -> Self {
        all.dedup();
        match all.len() {
            0 => Partitioning::Unknown(partitions),
            1 => all.remove(0),
            _ => Partitioning::Collection(all),
        }
    }

    /// The partitioning of the rows after a projection to `list`: expressions appear under their new names, and a partitioning
    /// whose columns are dropped is forgotten.
    pub fn project(self, list: &[Expr]) -> Self {
        let partitions = self.num_partitions();
        let projected = self.flatten().into_iter().flat_map(|p| match &p {
            Partitioning::Hash { exprs, .. } => {
                projected_lists(exprs, list).into_iter().map(|exprs| Partitioning::Hash { exprs, partitions }).collect()
            }
            Partitioning::Range { order, .. } => {
                let exprs: Vec<Expr> = order.iter().map(|o| o.expr.clone()).collect();
                let renamed = |exprs: Vec<Expr>| {
                    let order = order.iter().zip(exprs).map(|(o, expr)| SortOrder { expr, ..o.clone() }).collect();
                    Partitioning::Range { order, partitions }
                };
                projected_lists(&exprs, list).into_iter().map(renamed).collect()
            }
            Partitioning::Unknown(_)
            | Partitioning::RoundRobin(_)
            | Partitioning::Single
            | Partitioning::Collection(_)
            | Partitioning::Broadcast(_) => vec![p],
        });
        Self::collection(projected.take(PROJECTION_CANDIDATE_LIMIT).collect(), partitions)
    }

    /// With each attribute of `from` replaced by the one at its place in `to`.
    pub fn renamed(self, from: &[Attribute], to: &[Attribute]) -> Self {
        let partitions = self.num_partitions();
        self.map_expressions(&mut |e| e.transform_up(&mut |e| Ok(rename(e, from, to)))).unwrap_or(Partitioning::Unknown(partitions))
    }
}

fn rename(expr: Expr, from: &[Attribute], to: &[Attribute]) -> Expr {
    match expr {
        Expr::Attribute(a) => Expr::Attribute(from.iter().position(|f| f.id == a.id).map_or(a, |i| to[i].clone())),
        other => other,
    }
}

/// An order that rows come in, with other expressions that go up with it (the right key of an inner sort-merge join).
#[derive(Debug, Clone, PartialEq)]
pub struct ProvidedOrder {
    pub order: SortOrder,
    pub same: Vec<Expr>,
}

impl From<SortOrder> for ProvidedOrder {
    fn from(order: SortOrder) -> Self {
        Self { order, same: vec![] }
    }
}

impl ProvidedOrder {
    /// With each attribute of `from` replaced by the one at its place in `to`.
    pub fn renamed(self, from: &[Attribute], to: &[Attribute]) -> Self {
        let renamed = |e: Expr| e.clone().transform_up(&mut |e| Ok(rename(e, from, to))).unwrap_or(e);
        Self { order: SortOrder { expr: renamed(self.order.expr), ..self.order }, same: self.same.into_iter().map(renamed).collect() }
    }

    fn satisfies(&self, required: &SortOrder) -> bool {
        self.order.ascending == required.ascending
            && self.order.nulls_first == required.nulls_first
            && (self.order.expr == required.expr || self.same.contains(&required.expr))
    }
}

/// Whether rows in the order `provided` are in the order `required`: `required` is a prefix, direction and NULLs included.
pub fn ordering_satisfies(provided: &[ProvidedOrder], required: &[SortOrder]) -> bool {
    required.len() <= provided.len() && provided.iter().zip(required).all(|(p, r)| p.satisfies(r))
}

/// The order of the rows after a projection to `list`: the longest prefix whose expressions are still there.
pub fn project_ordering(provided: Vec<ProvidedOrder>, list: &[Expr]) -> Vec<ProvidedOrder> {
    provided
        .into_iter()
        .map_while(|p| {
            let mut names = std::iter::once(&p.order.expr).chain(&p.same).flat_map(|e| projections_of(e, list));
            let expr = names.next()?;
            let same = names.take(PROJECTION_CANDIDATE_LIMIT).collect();
            Some(ProvidedOrder { order: SortOrder { expr, ..p.order.clone() }, same })
        })
        .collect()
}

/// The ways to say `expr` over the columns that `list` gives; none when it uses something dropped.
fn projections_of(expr: &Expr, list: &[Expr]) -> Vec<Expr> {
    let mut ways: Vec<Expr> = list
        .iter()
        .filter(|item| matches!(item, Expr::Alias { .. }) && item.unaliased() == expr || *item == expr)
        .map(|item| Expr::Attribute(item.to_attribute()))
        .collect();
    let children = expr.children();
    if !children.is_empty() {
        let children: Vec<Expr> = children.into_iter().cloned().collect();
        for replacements in projected_lists(&children, list) {
            let mut replacements = replacements.into_iter();
            if let Ok(e) = expr.clone().map_children(&mut |c| Ok(replacements.next().unwrap_or(c))) {
                ways.push(e);
            }
        }
    } else if matches!(expr, Expr::Literal(_)) {
        ways.push(expr.clone());
    }
    ways.truncate(PROJECTION_CANDIDATE_LIMIT);
    ways
}

/// All ways to say a whole list, at most [`PROJECTION_CANDIDATE_LIMIT`].
fn projected_lists(exprs: &[Expr], list: &[Expr]) -> Vec<Vec<Expr>> {
    exprs.iter().fold(vec![vec![]], |so_far, expr| {
        let ways = projections_of(expr, list);
        let longer = so_far.iter().flat_map(|prefix: &Vec<Expr>| {
            ways.iter().map(|w| prefix.iter().cloned().chain([w.clone()]).collect::<Vec<_>>()).collect::<Vec<_>>()
        });
        longer.take(PROJECTION_CANDIDATE_LIMIT).collect()
    })
}

/// A hash partitioning of the streamed side of an inner join, also under the other side's names: `pairs` are (streamed, build) keys
/// known to be equal in every output row.
pub fn expand_through_keys(partitioning: Partitioning, pairs: &[(&Expr, &Expr)]) -> Partitioning {
    let partitions = partitioning.num_partitions();
    let mut all = vec![];
    for p in partitioning.flatten() {
        let Partitioning::Hash { exprs, .. } = &p else {
            all.push(p);
            continue;
        };
        let ways = exprs.iter().fold(vec![vec![]], |so_far: Vec<Vec<Expr>>, expr| {
            let names: Vec<&Expr> = std::iter::once(expr).chain(pairs.iter().filter(|(s, _)| *s == expr).map(|(_, b)| *b)).collect();
            let longer = so_far.iter().flat_map(|prefix| {
                names.iter().map(|n| prefix.iter().cloned().chain([(*n).clone()]).collect::<Vec<_>>()).collect::<Vec<_>>()
            });
            longer.take(BROADCAST_EXPAND_LIMIT).collect()
        });
        all.extend(ways.into_iter().map(|exprs| Partitioning::Hash { exprs, partitions }));
    }
    all.truncate(BROADCAST_EXPAND_LIMIT.max(1));
    Partitioning::collection(all, partitions)
}

/// How a child that must be co-partitioned with others is partitioned, in terms of the clustering required of it.
#[derive(Debug, Clone, PartialEq)]
pub enum ShuffleSpec {
    Single,
    /// Boundaries are sampled, so no other shuffle can be made like it.
    Range {
        partitions: usize,
    },
    Hash {
        exprs: Vec<Expr>,
        clustering: Vec<Expr>,
        partitions: usize,
    },
    /// Any of these describes it.
    Collection(Vec<ShuffleSpec>),
    /// Nothing is known that another child could match.
    Unknown {
        partitions: usize,
    },
}

impl ShuffleSpec {
    /// Of a partitioning that satisfies a clustering; members of a collection that do not are left out.
    pub fn new(partitioning: Partitioning, clustering: &[Expr], all_keys: bool) -> Self {
        let required = Distribution::clustered(clustering);
        match partitioning {
            Partitioning::Single => ShuffleSpec::Single,
            Partitioning::Range { partitions, .. } => ShuffleSpec::Range { partitions },
            Partitioning::Hash { exprs, partitions } => ShuffleSpec::Hash { exprs, clustering: clustering.to_vec(), partitions },
            collection @ Partitioning::Collection(_) => ShuffleSpec::Collection(
                collection
                    .flatten()
                    .into_iter()
                    .filter(|p| p.satisfies(&required, all_keys))
                    .map(|p| Self::new(p, clustering, all_keys))
                    .collect(),
            ),
            other @ (Partitioning::Unknown(_) | Partitioning::RoundRobin(_) | Partitioning::Broadcast(_)) => {
                ShuffleSpec::Unknown { partitions: other.num_partitions() }
            }
        }
    }

    pub fn num_partitions(&self) -> usize {
        match self {
            ShuffleSpec::Single => 1,
            ShuffleSpec::Range { partitions } | ShuffleSpec::Hash { partitions, .. } | ShuffleSpec::Unknown { partitions } => *partitions,
            ShuffleSpec::Collection(all) => all.first().map_or(0, ShuffleSpec::num_partitions),
        }
    }

    /// Whether equal partition numbers of the two hold matching rows. Hash partitionings match when each pair of their expressions
    /// stands at a common place of the two clusterings.
    pub fn is_compatible(&self, other: &ShuffleSpec) -> bool {
        match (self, other) {
            (ShuffleSpec::Collection(all), other) | (other, ShuffleSpec::Collection(all)) => all.iter().any(|s| s.is_compatible(other)),
            (ShuffleSpec::Single, other) | (other, ShuffleSpec::Single) => other.num_partitions() == 1,
            (
                ShuffleSpec::Hash { exprs: le, clustering: lc, partitions: ln },
                ShuffleSpec::Hash { exprs: re, clustering: rc, partitions: rn },
            ) => {
                lc.len() == rc.len()
                    && ln == rn
                    && le.len() == re.len()
                    && le.iter().zip(re).all(|(l, r)| lc.iter().zip(rc).any(|(lk, rk)| lk == l && rk == r))
            }
            (ShuffleSpec::Hash { .. } | ShuffleSpec::Range { .. } | ShuffleSpec::Unknown { .. }, _) => false,
        }
    }

    /// Whether another child can be shuffled to match. With `all_keys` only a partitioning by exactly the clustering's keys can
    /// (`sql.requireAllClusterKeysForCoPartition`): by fewer, one key's skew would spread to both sides.
    pub fn can_create_partitioning(&self, all_keys: bool) -> bool {
        match self {
            ShuffleSpec::Hash { exprs, clustering, .. } => !all_keys || exprs == clustering,
            ShuffleSpec::Collection(all) => all.iter().any(|s| s.can_create_partitioning(all_keys)),
            ShuffleSpec::Single | ShuffleSpec::Range { .. } | ShuffleSpec::Unknown { .. } => false,
        }
    }

    /// The partitioning of another child, clustered by `clustering`, that matches this one; `None` where there is none.
    pub fn create_partitioning(&self, clustering: &[Expr]) -> Option<Partitioning> {
        match self {
            ShuffleSpec::Hash { exprs, clustering: own, partitions } => {
                let place = |e: &Expr| own.iter().position(|k| k == e).and_then(|i| clustering.get(i)).cloned();
                Some(Partitioning::Hash { exprs: exprs.iter().map(place).collect::<Option<_>>()?, partitions: *partitions })
            }
            ShuffleSpec::Collection(all) => all.iter().find_map(|s| s.create_partitioning(clustering)),
            ShuffleSpec::Single | ShuffleSpec::Range { .. } | ShuffleSpec::Unknown { .. } => None,
        }
    }
}
