//! Every case that there is, on a curve of 653 points.
#![allow(clippy::print_stdout)]

use yanqian_toy_curve::exhaustive::Group;

#[test]
fn the_jacobian_formulas_are_the_groups_for_all_pairs_of_points() {
    let tried = Group::default().jacobian_formulas_are_the_groups();
    println!("{tried} sums");
    assert!(tried > 4 * 653 * 653);
}

/// For all s and t, under keys from ±1 to ones whose multiples meet the generator's everywhere.
#[test]
fn verdicts_are_the_standards_for_all_s_and_t() {
    let keys = [1, 129, 326, 652];
    let tried = Group::default().verdicts_are_the_standards(keys.into_iter());
    println!("{tried} verdicts");
    assert_eq!(tried, 4 * 652 * 652 * 4);
}

#[test]
fn constant_time_multiples_are_the_groups_for_all_scalars() {
    let tried = Group::default().secret_multiples_are_the_groups();
    println!("{tried} multiples");
    assert_eq!(tried, 652 * 33);
}
