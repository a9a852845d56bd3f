//! Particles on one canvas between the lines and the labels of the map.
//!
//! Draws at most thirty times a second, and not at all when paused, disconnected, hidden, out of
//! view or when less motion is wanted. What draws is in a file of its own: the map stands without.

use super::{
    map::Drawn,
    particles_model::{particles, strength},
    scene::Health,
};
use crate::{
    apart::apart,
    browser,
    frame::lazily::now,
    live::{Connection, use_live},
};
use leptos::{html, leptos_dom::helpers::request_animation_frame, prelude::*, task::spawn_local};
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement, ResizeObserver};

/// Least time between two drawings, milliseconds.
const FRAME_MS: f64 = 33.0;
/// Colours are looked up anew after so many drawings: the theme may have changed.
const COLOURS_EVERY: u32 = 30;

/// Colours by health, as the style sheet gives them.
#[derive(Clone, Default)]
struct Colours {
    ok: String,
    warn: String,
    error: String,
    event: String,
}

/// What lives as long as the canvas.
#[derive(Clone, Copy)]
struct Painter {
    size: (f64, f64),
    drawn: Memo<Vec<Drawn>>,
    layer: Signal<String>,
    running: RwSignal<bool>,
    colours: StoredValue<Colours>,
    frames: StoredValue<u32>,
    /// When it was drawn last; 0 while nothing is to be seen.
    last_ms: StoredValue<f64>,
    canvas: NodeRef<html::Canvas>,
}

/// The canvas.
#[component]
pub(super) fn Particles(
    size: (f64, f64),
    drawn: Memo<Vec<Drawn>>,
    layer: Signal<String>,
) -> impl IntoView {
    let canvas = NodeRef::<html::Canvas>::new();
    let painter = Painter {
        size,
        drawn,
        layer,
        running: RwSignal::new(false),
        colours: StoredValue::new(Colours::default()),
        frames: StoredValue::new(0),
        last_ms: StoredValue::new(0.0),
        canvas,
    };
    let there = RwSignal::new(false);
    Effect::new(move |_| {
        spawn_local(async move {
            if load_particles().await.is_ok() {
                let _ = there.try_set(true);
            }
        });
    });
    // Begun in an effect of the canvas and not in the future: what it begins ends with the canvas.
    Effect::new(move |_| {
        if there.get() {
            let _ = now(animate(painter));
        }
    });
    view! {
        <canvas class="particles" node_ref=canvas aria-hidden="true"></canvas>
        <span class="probes" aria-hidden="true">
            <i class="tone-ok"></i>
            <i class="tone-warn"></i>
            <i class="tone-error"></i>
            <i class="tone-neutral"></i>
        </span>
    }
    .into_any()
}

apart! {
    /// Draws as long as the caller's owner lives.
    fn animate(painter: Painter) -> () {
        let live = use_live();
        let canvas = painter.canvas;
        let still = browser::use_media("(prefers-reduced-motion: reduce)");
        let wanted = Memo::new(move |_| {
            let connected = matches!(live.connection().get(), Connection::Live);
            connected && !live.paused().get() && still.get() == Some(false)
        });
        Effect::new(move |_| {
            let wanted = wanted.get() && canvas.get().is_some();
            let ran = painter.running.get_untracked();
            painter.running.set(wanted);
            if wanted && !ran {
                painter.next();
            }
            if still.get() == Some(true) {
                painter.clear();
            }
        });
        // What stands still keeps its place on the map when the map moves, and dims with it.
        use_height(canvas, move || painter.again());
        Effect::new(move |_| {
            painter.layer.track();
            painter.again();
        });
    }
    fetched by load_particles as particles
}

/// Calls back when the canvas is given another size.
fn use_height(canvas: NodeRef<html::Canvas>, changed: impl Fn() + Clone + 'static) {
    Effect::new(move |_| {
        let Some(element) = canvas.get() else { return };
        let changed = changed.clone();
        let resized: Closure<dyn FnMut()> = Closure::new(changed);
        let Ok(observer) = ResizeObserver::new(resized.as_ref().unchecked_ref()) else { return };
        observer.observe(&element);
        let kept = StoredValue::new_local((observer, resized));
        on_cleanup(move || {
            kept.try_with_value(|(observer, _)| observer.disconnect());
        });
    });
}

impl Painter {
    /// Draws the moment once more at which everything stands still.
    fn again(self) {
        let last = self.last_ms.try_get_value().unwrap_or_default();
        if last > 0.0 && !self.running.try_get_untracked().unwrap_or(true) {
            self.paint(last / 1_000.0);
        }
    }

    fn next(self) {
        request_animation_frame(move || {
            if !self.running.try_get_untracked().unwrap_or(false) {
                return;
            }
            let now = browser::now_ms();
            if now - self.last_ms.get_value() >= FRAME_MS {
                self.last_ms.set_value(now);
                self.paint(now / 1_000.0);
            }
            self.next();
        });
    }

    fn context(self) -> Option<(HtmlCanvasElement, CanvasRenderingContext2d)> {
        let canvas = self.canvas.try_get_untracked().flatten()?;
        let context = canvas.get_context("2d").ok().flatten()?.dyn_into().ok()?;
        Some((canvas, context))
    }

    fn clear(self) {
        self.last_ms.set_value(0.0);
        if let Some((canvas, context)) = self.context() {
            context.clear_rect(0.0, 0.0, canvas.width().into(), canvas.height().into());
        }
    }

    fn paint(self, time: f64) {
        let Some((canvas, context)) = self.context() else { return };
        let box_ = canvas.get_bounding_client_rect();
        let height = window().inner_height().ok().and_then(|h| h.as_f64()).unwrap_or(0.0);
        if box_.width() < 1.0 || box_.bottom() < 0.0 || box_.top() > height {
            return;
        }
        self.look_up_colours(&canvas);
        let ratio = window().device_pixel_ratio().clamp(1.0, 2.0);
        let (width, tall) = (box_.width() * ratio, box_.height() * ratio);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "pixels")]
        let pixels = (width.round() as u32, tall.round() as u32);
        if (canvas.width(), canvas.height()) != pixels {
            canvas.set_width(pixels.0);
            canvas.set_height(pixels.1);
        }
        // As the drawing beside it: scaled to fit, centred.
        let scale = (width / self.size.0).min(tall / self.size.1);
        let left = (width - self.size.0 * scale) / 2.0;
        let top = (tall - self.size.1 * scale) / 2.0;
        let _ = context.set_transform(1.0, 0.0, 0.0, 1.0, 0.0, 0.0);
        context.clear_rect(0.0, 0.0, width, tall);
        let _ = context.set_transform(scale, 0.0, 0.0, scale, left, top);
        context.set_line_cap("round");
        let layer = self.layer.get_untracked();
        self.colours.with_value(|colours| {
            self.drawn.with_untracked(|drawn| {
                for edge in drawn {
                    let strength = strength(&layer, edge.shape.kind);
                    paint_edge(&context, edge, colours, time, strength);
                }
            });
        });
    }

    fn look_up_colours(self, canvas: &HtmlCanvasElement) {
        let frame = self.frames.get_value();
        self.frames.set_value(frame.wrapping_add(1));
        if !frame.is_multiple_of(COLOURS_EVERY) {
            return;
        }
        let Some(probes) = canvas.next_element_sibling().map(|probes| probes.children()) else {
            return;
        };
        let colour = |i: u32| {
            let style = window().get_computed_style(&probes.item(i)?).ok()??;
            style.get_property_value("color").ok()
        };
        self.colours.set_value(Colours {
            ok: colour(0).unwrap_or_default(),
            warn: colour(1).unwrap_or_default(),
            error: colour(2).unwrap_or_default(),
            event: colour(3).unwrap_or_default(),
        });
    }
}

fn paint_edge(
    context: &CanvasRenderingContext2d,
    edge: &Drawn,
    colours: &Colours,
    time: f64,
    strength: f64,
) {
    let face = &edge.face;
    let events = edge.shape.kind == contract::live::EdgeKind::Message;
    let own = match face.health {
        _ if events => &colours.event,
        Health::Warn => &colours.warn,
        Health::Error => &colours.error,
        _ => &colours.ok,
    };
    let head = (1.5 + f64::from(face.width) / 500.0).min(2.5);
    for particle in particles(face, time) {
        let colour = if particle.failed { &colours.error } else { own };
        let (at, tail) =
            (edge.shape.curve.point(particle.at), edge.shape.curve.point(particle.tail));
        context.set_stroke_style_str(colour);
        context.set_fill_style_str(colour);
        context.set_global_alpha(0.55 * strength);
        context.set_line_width(head);
        context.begin_path();
        context.move_to(tail.x, tail.y);
        context.line_to(at.x, at.y);
        context.stroke();
        context.set_global_alpha(strength);
        context.begin_path();
        let _ = context.arc(at.x, at.y, head, 0.0, std::f64::consts::TAU);
        context.fill();
    }
}
