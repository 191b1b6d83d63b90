//! A line through points whose spread grows with their height: weighted least squares, and how far a new point may lie from it
//! (N. R. Draper, H. Smith, *Applied Regression Analysis*, 1.4 and 9.2).

/// A measurement.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// How much there was.
    pub x: f64,
    /// How long it took.
    pub y: f64,
}

/// A line, never falling: nothing takes less time because there is more of it.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// The time of nothing.
    pub intercept: f64,
    /// The time of one more.
    pub slope: f64,
    /// The relative deviation of points from it.
    deviation: f64,
    /// Sums of the weights, and of the weighted x and squares of x.
    sums: (f64, f64, f64),
    count: usize,
}

impl Line {
    /// Fits a line; with a single x, or a slope that would fall, a constant.
    pub fn fit(points: &[Point]) -> Self {
        let weighted: Vec<(Point, f64)> =
            points.iter().map(|point| (*point, weight(points, *point))).collect();
        let sum = |of: &dyn Fn(Point) -> f64| {
            weighted.iter().map(|(point, weight)| weight * of(*point)).sum::<f64>()
        };
        let (w, wx, wxx) = (sum(&|_| 1.0), sum(&|point| point.x), sum(&|point| point.x * point.x));
        let (wy, wxy) = (sum(&|point| point.y), sum(&|point| point.x * point.y));
        let determinant = w * wxx - wx * wx;
        let slope =
            if determinant > f64::EPSILON * w * wxx { (w * wxy - wx * wy) / determinant } else { 0.0 };
        let (intercept, slope) =
            if slope > 0.0 { ((wy - slope * wx) / w, slope) } else { (wy / w.max(f64::MIN_POSITIVE), 0.0) };
        let mut line = Self { intercept, slope, deviation: 0.0, sums: (w, wx, wxx), count: points.len() };
        let squares = sum(&|point| (point.y - line.intercept - line.slope * point.x).powi(2));
        line.deviation = (squares / line.freedom().max(1.0)).sqrt();
        line
    }

    /// How many points are left to tell the deviation by.
    pub fn freedom(&self) -> f64 {
        let taken = if self.slope > 0.0 { 2 } else { 1 };
        self.count.saturating_sub(taken) as f64
    }

    /// The height at `x`, and the standard deviation of a new point there.
    pub fn at(&self, x: f64) -> (f64, f64) {
        let height = (self.intercept + self.slope * x).max(0.0);
        let (w, wx, wxx) = self.sums;
        let determinant = w * wxx - wx * wx;
        let of_the_line = if self.slope > 0.0 {
            (wxx - 2.0 * x * wx + x * x * w) / determinant
        } else {
            1.0 / w.max(f64::MIN_POSITIVE)
        };
        (height, self.deviation * (height * height + of_the_line).sqrt())
    }
}

/// A point weighs by the inverse square of what is usual at its x, so that a tenth counts as a tenth everywhere.
fn weight(points: &[Point], at: Point) -> f64 {
    let alike: Vec<f64> =
        points.iter().filter(|point| (point.x - at.x).abs() <= at.x / 10.0).map(|point| point.y).collect();
    let usual = alike.iter().sum::<f64>() / alike.len().max(1) as f64;
    // What takes no time at all says as much as what takes a microsecond.
    1.0 / usual.max(1.0).powi(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(of: &[(f64, f64)]) -> Vec<Point> {
        of.iter().map(|(x, y)| Point { x: *x, y: *y }).collect()
    }

    #[test]
    fn what_lies_on_a_line_is_on_it_everywhere() {
        let line = Line::fit(&points(&[(1.0, 13.0), (2.0, 16.0), (4.0, 22.0), (10.0, 40.0)]));
        assert!((line.intercept - 10.0).abs() < 1e-6 && (line.slope - 3.0).abs() < 1e-6, "{line:?}");
        let (height, deviation) = line.at(1_000.0);
        assert!((height - 3_010.0).abs() < 1e-3 && deviation < 1e-3, "{height} {deviation}");
    }

    #[test]
    fn nothing_falls_and_a_single_size_makes_no_slope() {
        let falling = Line::fit(&points(&[(1.0, 9.0), (2.0, 8.0), (3.0, 7.0)]));
        assert_eq!(falling.slope, 0.0);
        let (height, _) = falling.at(1e12);
        assert!((7.0..9.0).contains(&height), "{height}");
        let single = Line::fit(&points(&[(5.0, 10.0), (5.0, 12.0)]));
        assert_eq!((single.slope, single.at(0.0).0), (0.0, 11.0));
        assert_eq!(Line::fit(&[]).at(3.0).0, 0.0);
    }

    #[test]
    fn a_tenth_is_a_tenth_for_the_small_and_for_the_large() {
        // Both ends are off by a tenth, in opposite ways; by plain squares the large one alone would decide.
        let line = Line::fit(&points(&[(1.0, 11.0), (1.0, 9.0), (100.0, 1_100.0), (100.0, 900.0)]));
        assert!(
            (line.at(1.0).0 - 10.0).abs() < 1e-6 && (line.at(100.0).0 - 1_000.0).abs() < 1e-6,
            "{line:?}"
        );
        let (height, deviation) = line.at(100.0);
        assert!(deviation / height > 0.1 && deviation / height < 0.25, "{deviation} of {height}");
    }
}
