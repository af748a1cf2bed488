//! The browser and the provider of the stories about signing in, without anything of ours between them.

use postern_tests::web::WebAuthority;
use postern_tests::{Browser, Mesh, Provider, ProviderClient};
use serde_json::json;

#[test]
fn a_browser_signs_in_at_a_provider_whose_name_it_verifies() {
    let mesh = Mesh::start();
    let web = WebAuthority::new("the web");
    let client = ProviderClient::with_secret("shop", "id.example", "a secret of the tests")
        .and(&json!({"redirect_uris": ["https://id.example/counts"]}));
    let mut provider = Provider::start(&mesh, "id.example", &web, &[client], 300);
    mesh.know_host("other.example", provider.ipv4());
    let pod = mesh.pod("client").outside().start();
    let browser = Browser::start(&pod, &web);
    let person = browser.person();
    let page = person.page();
    let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let start = format!(
        "https://id.example/auth?client_id=shop&response_type=code&scope=openid%20email&state=s\
         &redirect_uri=https%3A%2F%2Fid.example%2Fcounts&code_challenge={challenge}&code_challenge_method=S256"
    );

    page.open(&start).expect_at("https://id.example/interaction");
    let done = page.sign_in("ann");
    assert!(done.url.starts_with("https://id.example/counts?code="), "{done:#?}");
    assert!(done.url.contains("&state=s&iss=https%3A%2F%2Fid.example"), "{done:#?}");

    // Its session at the provider outlives the provider, and is nobody else's.
    provider.kill();
    provider.start_again();
    let again = person.page().open(&start);
    assert!(again.url.starts_with("https://id.example/counts?code="), "{again:#?}");
    browser.person().page().open(&start).expect_at("https://id.example/interaction");
    // Who wants a second factor gets one.
    page.open(&format!("{start}&acr_values=urn%3Amfa")).expect_at("https://id.example/interaction");
    let stronger = page.sign_in_strongly("ann");
    assert!(stronger.url.starts_with("https://id.example/counts?code="), "{stronger:#?}");

    let refused = person.page().try_open("https://other.example/counts").unwrap_err();
    assert!(refused.contains("ERR_CERT_COMMON_NAME_INVALID"), "{refused}");
}
