//! A sparkline: no axis, always beside its current value, from zero.

use leptos::prelude::*;

/// The points of a polyline in a box, newest at the right end, scaled from zero to the largest.
#[must_use]
pub fn points(values: &[f32], width: f32, height: f32) -> String {
    let top = values.iter().copied().fold(0.0_f32, f32::max);
    let last = values.len().saturating_sub(1).max(1);
    let mut out = String::with_capacity(values.len() * 12);
    for (i, value) in values.iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "an index of some hundred points")]
        let x = width * i as f32 / last as f32;
        let y = if top > 0.0 { height - height * value / top } else { height };
        if i > 0 {
            out.push(' ');
        }
        out.push_str(&format!("{x:.1},{y:.1}"));
    }
    out
}

/// A sparkline of the given size; a dotted line without data.
#[component]
pub fn Sparkline(
    /// Oldest first.
    #[prop(into)]
    values: Signal<Vec<f32>>,
    /// Width in pixels.
    width: u16,
    /// Height in pixels.
    height: u16,
) -> impl IntoView {
    let (w, h) = (f32::from(width), f32::from(height));
    let no_data = move || values.with(Vec::is_empty);
    view! {
        <svg
            class="sparkline"
            class:no-data=no_data
            viewBox=format!("-1 -1 {} {}", width + 2, height + 2)
            width=width + 2
            height=height + 2
            aria-hidden="true"
        >
            <polyline points=move || {
                values.with(|values| {
                    if values.is_empty() { format!("0,{h} {w},{h}") } else { points(values, w, h) }
                })
            }></polyline>
        </svg>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparkline_spans_its_box_from_zero_to_the_largest_value() {
        assert_eq!(points(&[0.0, 2.0, 4.0], 10.0, 8.0), "0.0,8.0 5.0,4.0 10.0,0.0");
    }

    #[test]
    fn silence_is_a_flat_line_at_the_bottom() {
        assert_eq!(points(&[0.0, 0.0], 10.0, 8.0), "0.0,8.0 10.0,8.0");
        assert_eq!(points(&[], 10.0, 8.0), "");
    }
}
