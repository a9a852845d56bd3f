//! What a new shop starts with: products, customers, shelves and wallets.

use crate::{catalog::Product, users::User};
use contract::Money;

/// Id, name, description, category, price in cents, pieces of the first delivery.
type Row = (&'static str, &'static str, &'static str, &'static str, i64, i64);

#[rustfmt::skip]
const PRODUCTS: [Row; 13] = [
    ("p-moka", "Moka pot, 6 cups", "Cast aluminium, for any hob.", "coffee", 3_450, 400),
    ("p-grinder", "Hand grinder", "Steel burrs, 40 click settings, 25 g.", "coffee", 8_900, 250),
    ("p-kettle", "Gooseneck kettle", "One litre, kept hot to a degree.", "coffee", 11_900, 200),
    ("p-beans", "Espresso beans, 1 kg", "Hazelnut, roasted on Tuesdays.", "coffee", 2_190, 900),
    ("p-cups", "Stoneware cups, set of 4", "Glazed inside only, 180 ml.", "table", 3_860, 400),
    ("p-board", "Walnut cutting board", "End grain, 40 by 30 cm, oiled.", "table", 6_490, 220),
    ("p-knife", "Chef's knife, 20 cm", "Layered steel, octagonal handle.", "table", 12_900, 180),
    ("p-lamp", "Desk lamp", "Warm to cold light, dims to one percent.", "desk", 7_950, 240),
    ("p-notebook", "Dotted notebook, A5", "160 numbered pages, lies flat.", "desk", 1_850, 800),
    ("p-pen", "Fountain pen, fine", "Brass body, converter included.", "desk", 4_290, 350),
    ("p-headphones", "Closed headphones", "Wired and wireless, 40 hours.", "desk", 24_000, 120),
    ("p-chair", "Reading chair", "Beech frame, wool seat, made to last.", "home", 64_900, 60),
    ("p-blanket", "Wool blanket", "Merino, 130 by 200 cm.", "home", 9_800, 200),
];

/// A product with its first delivery.
#[must_use]
pub fn products() -> Vec<(Product, i64)> {
    let product = |(id, name, description, category, minor, delivery): Row| {
        let product = Product {
            product_id: id.to_owned(),
            name: name.to_owned(),
            description: description.to_owned(),
            category: category.to_owned(),
            price: Money::eur(minor),
            stock: None,
            updated_at: None,
        };
        (product, delivery)
    };
    PRODUCTS.into_iter().map(product).collect()
}

/// A customer with the opening balance of the wallet, minor units.
#[must_use]
pub fn users() -> Vec<(User, i64)> {
    let user = |id: &str, name: &str, city: &str, note: &str| User {
        user_id: id.to_owned(),
        name: name.to_owned(),
        email: format!("{}@example.com", name.split(' ').next().unwrap_or(id).to_lowercase()),
        city: city.to_owned(),
        note: note.to_owned(),
    };
    vec![
        (user("c-1001", "Ada Brandt", "Hamburg", "plenty in the wallet"), 2_000_000),
        (user("c-1007", "Bruno Costa", "Lisbon", "comfortable"), 900_000),
        (user("c-1013", "Chidi Okafor", "Lagos", "comfortable"), 750_000),
        (user("c-1021", "Dalia Haddad", "Marseille", "careful with money"), 250_000),
        (user("c-1034", "Emil Novak", "Brno", "student, small wallet"), 60_000),
        (
            user("c-1042", "Flora Petit", "Lyon", "almost nothing: most payments are declined"),
            2_500,
        ),
    ]
}

/// The customer whom most things are too dear for; nothing tops this wallet up.
pub const POOR_USER: &str = "c-1042";

/// What the merchant starts with, for refunds that come before the first sale, minor units.
pub const MERCHANT_OPENING: i64 = 5_000_000;
