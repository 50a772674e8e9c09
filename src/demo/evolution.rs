//! A small genetic algorithm, so that the demo's workers have something real to count.
//!
//! Owns its population and its chance. Knows nothing of metrics.

/// A population that climbs towards the top of one landscape.
#[derive(Debug)]
pub(super) struct Evolution {
    population: Vec<Individual>,
    chance: Chance,
    generation: u64,
    /// Where the top is.
    target: f64,
    /// The position in `population` of who is evaluated next.
    next: usize,
}

#[derive(Clone, Debug)]
struct Individual {
    genes: [f64; GENES],
    fitness: f64,
}

impl Evolution {
    /// A random population; `seed` decides all that comes.
    pub(super) fn new(seed: u64, target: f64) -> Evolution {
        let mut chance = Chance::new(seed);
        let individual = |chance: &mut Chance| Individual {
            genes: std::array::from_fn(|_| chance.between(-5.0, 5.0)),
            fitness: 0.0,
        };
        let population = (0..POPULATION).map(|_| individual(&mut chance)).collect();
        Evolution {
            population,
            chance,
            generation: 0,
            target,
            next: 0,
        }
    }

    /// Evaluates one individual; its fitness is at most 1.
    pub(super) fn evaluate_next(&mut self) -> f64 {
        let individual = &mut self.population[self.next];
        individual.fitness = fitness(&individual.genes, self.target);
        let fitness = individual.fitness;
        self.next += 1;
        if self.next == self.population.len() {
            self.breed();
        }
        fitness
    }

    /// How many generations have been bred.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// The better half lives on, and its children take the place of the other.
    fn breed(&mut self) {
        self.population
            .sort_by(|left, right| right.fitness.total_cmp(&left.fitness));
        let parents = POPULATION / 2;
        // Steps shrink as the population closes in.
        let step = 2.0 * (1.0 - self.population[0].fitness) + 0.01;
        for child in parents..POPULATION {
            let mother = self.chance.below(parents);
            let father = self.chance.below(parents);
            let genes = std::array::from_fn(|gene| {
                let parent = if self.chance.below(2) == 0 {
                    mother
                } else {
                    father
                };
                self.population[parent].genes[gene] + self.chance.between(-step, step) * 0.2
            });
            self.population[child] = Individual {
                genes,
                fitness: 0.0,
            };
        }
        self.generation += 1;
        self.next = 0;
    }
}

/// Rastrigin's function, turned upside down and brought between 0 and 1: one top and many lesser
/// ones around it, which a population has to get past.
fn fitness(genes: &[f64; GENES], target: f64) -> f64 {
    let distance: f64 = genes
        .iter()
        .map(|gene| gene - target)
        .map(|away| away * away + 2.0 * (1.0 - (std::f64::consts::TAU * away).cos()))
        .sum();
    1.0 / (1.0 + distance / GENES as f64)
}

/// Marsaglia's xorshift64: more than enough chance for a demo.
#[derive(Debug)]
pub(super) struct Chance(u64);

impl Chance {
    /// Seeds that lie next to each other give sequences that do not.
    pub(super) fn new(seed: u64) -> Chance {
        let mixed = (seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Chance((mixed ^ (mixed >> 31)).max(1))
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Less than `bound`, which is at least 1.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// At least `low`, less than `high`.
    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        let unit = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        low + unit * (high - low)
    }
}

const GENES: usize = 6;

const POPULATION: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_population_gets_better_and_never_better_than_one() {
        let mut evolution = Evolution::new(7, 1.5);
        let mut best_of = |generations: usize| {
            let evaluations = (0..generations * POPULATION).map(|_| evolution.evaluate_next());
            evaluations.fold(0.0, f64::max)
        };
        let first = best_of(1);
        let later = best_of(200);
        assert!(first < later && later <= 1.0, "{first} {later}");
        assert_eq!(evolution.generation(), 201);
    }
}
