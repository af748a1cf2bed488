//! `KEEP=1`: everything stays up, with the commands to try.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use postern_tests::{binary, repository};

use crate::{Stage, url};

/// Whether the person asked to keep it up.
pub(crate) fn wanted() -> bool {
    std::env::var("KEEP").is_ok_and(|keep| !keep.is_empty() && keep != "0")
}

/// Prints what to try and waits for Ctrl-C.
pub(crate) fn until_interrupted(stage: &Stage) {
    let shop = &stage.shop;
    let (frontend, reports, cart) = (&shop.frontend, &shop.reports, &shop.cart);
    let script = write_script(stage);
    let script = script.display();
    let namespaces = stage.mesh.has_namespaces();
    let within = |pod: &str| if namespaces { format!("{script} {pod} ") } else { String::new() };
    let metrics = if namespaces {
        "http://localhost:15020/metrics"
    } else {
        "http://127.0.0.1:20320/metrics"
    };
    println!("\nIt all stays up until you press Ctrl-C. In another terminal, try:\n");
    let policy = stage.mesh.resource_path("cart");
    let refused = if policy.exists() { "refused with a reason" } else { "let in and written down" };
    println!("  # through the mesh: allowed, and {refused}");
    println!("  {}curl -i {}", within("frontend"), url(frontend, cart, 8080, "/cart/ann"));
    println!("  {}curl -i {}", within("reports"), url(reports, cart, 8080, "/cart/ann"));
    if policy.exists() {
        println!(
            "\n  # edit this file (add sa/reports to the first rule's principals), save, and call again"
        );
        println!("  {}", policy.display());
    } else {
        println!("\n  # docs/policy.md goes on from here, and writes the policy");
        println!("  cd {}", stage.mesh.directory().display());
    }
    println!("\n  # what cart's proxy counted");
    println!("  {}curl -s {metrics} | grep ^postern_", within("cart"));
    println!("\n  # the same verdict without traffic");
    println!("  echo '{}' |", question(cart));
    println!(
        "    {} explain --config {} --resources {}",
        binary("postern-proxy").display(),
        cart.directory().join("proxy.yaml").display(),
        stage.mesh.directory().join("resources").display()
    );
    println!("\n  # logs, one JSON line a request");
    println!("  tail -f {}", cart.directory().join("proxy.out").display());
    wait_for_interrupt();
}

fn question(cart: &postern_tests::Pod) -> String {
    serde_json::json!({
        "source": {"principal": "cluster.local/ns/shop/sa/reports"},
        "destination": {"ip": cart.ipv4(), "port": 8080},
        "request": {"method": "GET", "host": "cart", "path": "/cart/ann"},
    })
    .to_string()
}

/// `DIRECTORY/in POD COMMAND…` runs a command inside a pod, from any terminal of the same user.
fn write_script(stage: &Stage) -> PathBuf {
    let path = stage.mesh.directory().join("in");
    let text = format!(
        "#!/bin/sh\n\
         # usage: in POD COMMAND...   runs a command inside a pod of the running demo\n\
         pod=$1; shift\n\
         user=\n\
         [ \"$(readlink /proc/self/ns/user)\" = \"$(readlink /proc/{id}/ns/user)\" ] || user='--user --preserve-credentials'\n\
         exec nsenter --target {id} $user --net --mount -- {in_pod} m{index}-$pod {pods}/$pod \"$@\"\n",
        id = std::process::id(),
        in_pod = repository().join("tests/in-pod").display(),
        index = stage.mesh.network_index(),
        pods = stage.mesh.directory().join("pods").display(),
    );
    fs::write(&path, text).expect("a script can be written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
        .expect("a script can be made executable");
    path
}

fn wait_for_interrupt() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    // An error means that no signal can be waited for: then there is nothing to wait for.
    let _ = runtime.block_on(tokio::signal::ctrl_c());
    println!("\nTaking it all down.");
}
