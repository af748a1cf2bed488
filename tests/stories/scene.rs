//! The scenes most stories begin with.

pub(crate) use postern_tests::shop::allow;
use postern_tests::{App, Mesh, Pod, PodBuilder, shop};
use serde_json::{Value, json};

/// A cart that the shop's own policy protects, and a front end that may call it.
pub(crate) struct Scene {
    pub(crate) cart: Pod,
    pub(crate) frontend: Pod,
    pub(crate) mesh: Mesh,
}

/// The cart and the front end of the shop, with identity files.
pub(crate) fn shop() -> Scene {
    shop_with(json!({}))
}

/// The same, with these keys laid over the cart's proxy.yaml.
pub(crate) fn shop_with(config: Value) -> Scene {
    let mesh = Mesh::start();
    shop::install(&mesh, "cart");
    let cart = cart_builder(&mesh).config(config).start();
    let frontend = mesh.pod("frontend").start();
    Scene { cart, frontend, mesh }
}

/// The same with an authority and cert agents.
pub(crate) fn shop_with_authority() -> Scene {
    let mesh = Mesh::with_authority();
    shop::install(&mesh, "cart");
    let cart = cart(&mesh);
    let frontend = mesh.pod("frontend").start();
    Scene { cart, frontend, mesh }
}

/// The shop's cart.
pub(crate) fn cart(mesh: &Mesh) -> Pod {
    cart_builder(mesh).start()
}

pub(crate) fn cart_builder(mesh: &Mesh) -> PodBuilder {
    let pod = mesh.pod("cart").port(8080, "http").port(9000, "tcp").port(9100, "tcp");
    pod.app(App::new("shop-cart"))
}
