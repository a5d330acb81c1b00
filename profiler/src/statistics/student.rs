//! Student's t.

/// Student's t, 97.5 %, for 1 to 10 degrees of freedom: the ends of a two-sided 95 % interval.
const T_975: [f64; 10] = [
    12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281,
];
/// The same of the normal distribution.
const Z_975: f64 = 1.959_964;

/// Student's t, 97.5 %; beyond the table by the expansion of Cornish and Fisher (Abramowitz and Stegun,
/// 26.7.5), which is off by less than 0.0002 there. None without a degree of freedom.
#[must_use]
pub fn t_975(freedom: usize) -> Option<f64> {
    let index = freedom.checked_sub(1)?;
    if let Some(&t) = T_975.get(index) {
        return Some(t);
    }
    let (z, v) = (Z_975, freedom as f64);
    let first = (z.powi(3) + z) / 4.0;
    let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
    let third = (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0;
    Some(z + first / v + second / v.powi(2) + third / v.powi(3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        // R: qt(0.975, c(1, 2, 10, 11, 20, 30, 100)).
        for (freedom, t) in [
            (1, 12.706_205),
            (2, 4.302_653),
            (10, 2.228_139),
            (11, 2.200_985),
            (20, 2.085_963),
            (30, 2.042_272),
            (100, 1.983_972),
        ] {
            let found = t_975(freedom).unwrap();
            assert!((found - t).abs() < 2e-4, "{freedom}: {found}");
        }
        assert_eq!(t_975(0), None);
    }
}
