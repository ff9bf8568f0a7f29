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
