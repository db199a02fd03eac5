//! A histogram as Prometheus has it: how many samples were at most as large as each bound.

use crate::operator_metrics::label;

/// The buckets, by their bounds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram(Vec<Bucket>);

#[derive(Clone, Copy, Debug, PartialEq)]
struct Bucket {
    bound: f64,
    /// How many samples are at most the bound.
    samples: f64,
}

impl Histogram {
    /// Of samples of a metric that ends with `_bucket`, those that have all of these labels; of several series their sum.
    #[must_use]
    pub fn of(samples: &[(String, f64)], wanted: &[(&str, &str)]) -> Self {
        let has = |labels: &str| wanted.iter().all(|(name, value)| label(labels, name) == Some(value));
        let mut buckets: Vec<Bucket> = vec![];
        for (labels, samples) in samples.iter().filter(|(labels, _)| has(labels)) {
            let Some(bound) = label(labels, "le").and_then(|bound| bound.parse().ok()) else { continue };
            match buckets.iter_mut().find(|bucket| bucket.bound.total_cmp(&bound).is_eq()) {
                Some(bucket) => bucket.samples += samples,
                None => buckets.push(Bucket { bound, samples: *samples }),
            }
        }
        buckets.sort_by(|one, other| one.bound.total_cmp(&other.bound));
        Self(buckets)
    }

    /// Of what came after another of the same metric.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let earlier = |bound: f64| before.0.iter().find(|bucket| bucket.bound.total_cmp(&bound).is_eq());
        let more = |bucket: &Bucket| Bucket {
            samples: bucket.samples - earlier(bucket.bound).map_or(0.0, |bucket| bucket.samples),
            ..*bucket
        };
        Self(self.0.iter().map(more).collect())
    }

    /// How many samples there are.
    #[must_use]
    pub fn samples(&self) -> f64 {
        self.0.last().map_or(0.0, |bucket| bucket.samples)
    }

    /// What this part of the samples is at most, as Prometheus estimates it: as if the samples of a bucket lay evenly in it. `None`
    /// where there is no sample; the last bound that is finite where it is more than that.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Option<f64> {
        let (rank, mut below) = (part * self.samples(), Bucket { bound: 0.0, samples: 0.0 });
        if self.samples() <= 0.0 {
            return None;
        }
        for bucket in &self.0 {
            if bucket.samples >= rank && bucket.samples > below.samples {
                let within = (rank - below.samples) / (bucket.samples - below.samples);
                let finite = bucket.bound.is_finite();
                return Some(if finite { below.bound + (bucket.bound - below.bound) * within } else { below.bound });
            }
            below = *bucket;
        }
        Some(below.bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(buckets: [f64; 4]) -> Histogram {
        let bounds = ["0.005", "0.01", "0.025", "+Inf"].into_iter();
        let ours = bounds.clone().zip(buckets).map(|(bound, samples)| (format!("le=\"{bound}\",name=\"ours\""), samples));
        let theirs = bounds.map(|bound| (format!("name=\"theirs\",le=\"{bound}\""), 1000.0));
        Histogram::of(&ours.chain(theirs).collect::<Vec<_>>(), &[("name", "ours")])
    }

    #[test]
    fn quantiles_lie_evenly_between_bounds() {
        let found = histogram([50.0, 90.0, 100.0, 100.0]);
        let close = |part, value: f64| (found.quantile(part).unwrap() - value).abs() < 1e-9;
        assert!(close(0.25, 0.0025) && close(0.5, 0.005) && close(0.7, 0.0075) && close(0.99, 0.0235), "{found:?}");
        let slow = histogram([0.0, 0.0, 0.0, 10.0]);
        assert_eq!(slow.quantile(0.5), Some(0.025));
        assert_eq!(Histogram::default().quantile(0.5), None);
    }

    #[test]
    fn what_came_later_is_the_difference() {
        let (before, after) = (histogram([1.0, 2.0, 3.0, 4.0]), histogram([1.0, 3.0, 5.0, 7.0]));
        assert_eq!(after.since(&before), histogram([0.0, 1.0, 2.0, 3.0]));
        assert_eq!(after.since(&Histogram::default()), after);
        assert!((after.since(&before).samples() - 3.0).abs() < f64::EPSILON);
    }
}
