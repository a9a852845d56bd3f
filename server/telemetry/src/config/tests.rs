//! The variables, by value.

use super::*;

fn read(variables: &[(&str, &str)]) -> Result<TelemetryConfig, ConfigErrors> {
    let find = |name: &str| {
        let variable = variables.iter().find(|(held, _)| *held == name);
        variable.map(|(_, value)| (*value).to_owned())
    };
    TelemetryConfig::from_env(find)
}

fn export(variables: &[(&str, &str)]) -> Option<ExportConfig> {
    read(variables).unwrap().export
}

fn refused(variables: &[(&str, &str)]) -> String {
    read(variables).unwrap_err().to_string()
}

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";

#[test]
fn without_variables_nothing_is_exported_and_little_is_printed() {
    let config = read(&[]).unwrap();
    assert_eq!(config.export, None);
    assert_eq!(config.log_filter, LOG_FILTER_DEFAULT);
    assert_eq!(read(&[(ENDPOINT, "")]).unwrap().export, None);
}

#[test]
fn an_endpoint_alone_means_http_with_the_path_of_traces() {
    let config = export(&[(ENDPOINT, "http://collector:4318/")]).unwrap();
    assert_eq!(
        config,
        ExportConfig::new(Protocol::HttpProtobuf, "http://collector:4318/v1/traces")
    );
}

#[test]
fn the_endpoint_for_traces_wins_and_is_taken_as_it_is() {
    let config = export(&[
        (ENDPOINT, "http://collector:4318"),
        (TRACES_ENDPOINT, "http://other:9/custom?key=secret"),
    ])
    .unwrap();
    assert_eq!(config.endpoint, "http://other:9/custom?key=secret");
    assert_eq!(config.display_endpoint(), "http://other:9/custom");
    assert!(!format!("{config:?}").contains("secret"));
}

#[test]
fn grpc_takes_the_endpoint_without_a_path() {
    let grpc = |endpoint| export(&[(PROTOCOL, "grpc"), (ENDPOINT, endpoint)]).unwrap();
    assert_eq!(grpc("http://collector:4317").endpoint, "http://collector:4317");
    assert_eq!(grpc("http://collector:4317").protocol, Protocol::Grpc);
    let insecure = export(&[
        (PROTOCOL, "grpc"),
        (ENDPOINT, "collector:4317"),
        ("OTEL_EXPORTER_OTLP_INSECURE", "true"),
    ]);
    assert_eq!(insecure.unwrap().endpoint, "http://collector:4317");
    // Secure unless said otherwise.
    assert_eq!(grpc("collector:4317").endpoint, "https://collector:4317");
}

#[test]
fn asking_for_otlp_without_an_endpoint_means_the_standard_one() {
    let otlp = ("OTEL_TRACES_EXPORTER", "otlp");
    assert_eq!(export(&[otlp]).unwrap().endpoint, "http://localhost:4318/v1/traces");
    assert_eq!(export(&[otlp, (PROTOCOL, "grpc")]).unwrap().endpoint, "http://localhost:4317");
}

#[test]
fn export_can_be_switched_off() {
    let endpoint = (ENDPOINT, "http://collector:4318");
    assert_eq!(export(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")]), None);
    assert_eq!(export(&[endpoint, ("OTEL_SDK_DISABLED", "TRUE")]), None);
    assert!(export(&[endpoint, ("OTEL_SDK_DISABLED", "false")]).is_some());
}

#[test]
fn headers_are_decoded_and_never_shown() {
    let config = export(&[
        (ENDPOINT, "http://collector:4318"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abc, x-tenant = shop ,"),
    ])
    .unwrap();
    let expected = [("authorization", "Bearer abc"), ("x-tenant", "shop")];
    assert_eq!(config.headers, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
    assert!(!format!("{config:?}").contains("abc"));
}

#[test]
fn a_malformed_header_is_refused_without_repeating_it() {
    let headers = |value| {
        let endpoint = (ENDPOINT, "http://collector:4318");
        refused(&[endpoint, ("OTEL_EXPORTER_OTLP_HEADERS", value)])
    };
    for value in ["a=1,hunter2", "a=1,hunter2=%zz", "a=1,hunter2 =\u{7f}", "a=1,=hunter2"] {
        let sentence = headers(value);
        assert!(sentence.contains("OTEL_EXPORTER_OTLP_HEADERS"), "{sentence}");
        assert!(sentence.contains("number 2"), "{sentence}");
        assert!(!sentence.contains("hunter2"), "{sentence}");
    }
}

#[test]
fn numbers_are_read_and_bounded() {
    let config = export(&[
        (ENDPOINT, "http://collector:4318"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10000"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "250"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
    ])
    .unwrap();
    assert_eq!(config.timeout, Duration::from_millis(250));
    assert_eq!(config.delay, Duration::from_millis(20));
    // A request is never larger than the queue.
    assert_eq!((config.queue_max, config.batch_max), (100, 100));
}

#[test]
fn every_malformed_variable_is_named_at_once() {
    let variables = [
        ("VITRINE_LOG", "warn,[[["),
        ("OTEL_SDK_DISABLED", "perhaps"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        (PROTOCOL, "http/json"),
        (ENDPOINT, "collector:4318"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "9000"),
        ("OTEL_BSP_SCHEDULE_DELAY", "-1"),
        ("OTEL_RESOURCE_ATTRIBUTES", "team"),
    ];
    let sentence = refused(&variables);
    for (name, _) in variables {
        assert!(sentence.contains(name), "{name} is not named in: {sentence}");
    }
    assert_eq!(sentence.lines().count(), variables.len());
}

#[test]
fn an_endpoint_that_cannot_work_is_refused_without_repeating_its_password() {
    for endpoint in
        ["collector", "://", "ftp://collector", "http://", "http://me:hunter2@host:1", "http://a b"]
    {
        let sentence = refused(&[(ENDPOINT, endpoint)]);
        assert!(sentence.starts_with(ENDPOINT), "{sentence}");
        assert!(!sentence.contains("hunter2"), "{sentence}");
    }
}

#[test]
fn resource_attributes_are_decoded() {
    let config = read(&[("OTEL_RESOURCE_ATTRIBUTES", "team=shop%2Cfront,host.name=x")]).unwrap();
    let expected = [("team", "shop,front"), ("host.name", "x")];
    assert_eq!(config.resource_attributes, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
}

#[test]
fn a_standard_variable_that_changes_nothing_is_told_and_its_value_is_not() {
    let read = |name: &str, value: &str| {
        let mut config = read(&[(name, value)]).unwrap();
        config.notice_unread([(name, value)]);
        config
    };
    let ignored = read("OTEL_TRACES_SAMPLER", "traceidratio").notices;
    assert_eq!(ignored.len(), 1);
    assert!(ignored[0].starts_with("OTEL_TRACES_SAMPLER is ignored: "), "{ignored:?}");
    assert!(!ignored[0].contains("traceidratio"));
    assert!(read("OTEL_TRACES_SAMPLER", "parentbased_always_on").notices.is_empty());
    assert!(read("OTEL_BSP_SCHEDULE_DELAY", "100").notices.is_empty());
    for name in [
        "OTEL_METRICS_EXPORTER",
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
        "OTEL_LOGS_EXPORTER",
        "OTEL_BLRP_SCHEDULE_DELAY",
        "OTEL_PROPAGATORS",
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_TRACES_SAMPLER_ARG",
        "OTEL_EXPORTER_OTLP_ENDPIONT",
    ] {
        let told = read(name, "b3").notices;
        assert_eq!(told.len(), 1, "{name}");
        let begins = format!("{name} is ignored: ");
        assert!(told[0].starts_with(&begins) && !told[0].contains("b3"), "{told:?}");
        assert!(read(name, " ").notices.is_empty(), "{name}");
    }
    assert!(read("OTEL_METRICS_EXPORTER", "none").notices.is_empty());
    assert!(read("OTHER_VARIABLE", "1").notices.is_empty());
}

#[test]
fn every_variable_that_is_read_is_known_to_be() {
    let asked = std::cell::RefCell::new(std::collections::BTreeSet::new());
    for endpoint in [None, Some("https://collector:4318")] {
        let _ = TelemetryConfig::from_env(|name| {
            asked.borrow_mut().insert(name.to_owned());
            endpoint.filter(|_| name == TRACES_ENDPOINT).map(ToOwned::to_owned)
        });
    }
    let asked = asked.into_inner();
    assert!(asked.len() > 20, "{asked:?}");
    for name in asked.iter().filter(|name| *name != "VITRINE_LOG") {
        let known = unread::READ.contains(&name.as_str()) || tls::ALL.contains(&name.as_str());
        assert!(known, "{name} would be told as ignored");
    }
}

#[test]
fn a_word_of_the_log_filter_that_is_no_level_and_no_crate_is_refused() {
    for filter in ["inf", "warn,vitrine=info,debgu", "infoo,mesh=debug", "7"] {
        let sentence = refused(&[("VITRINE_LOG", filter)]);
        assert!(sentence.starts_with("VITRINE_LOG says"), "{sentence}");
        assert!(sentence.contains("error, warn, info, debug, trace"), "{sentence}");
    }
    for filter in [
        "info",
        "INFO",
        "3",
        "off",
        "warn,vitrine=info,shop=error",
        "hyper",
        "mesh",
        "some_crate=debug",
        "some_crate::part",
        "[place{order_id=1}]=debug",
        LOG_FILTER_DEFAULT,
    ] {
        assert_eq!(read(&[("VITRINE_LOG", filter)]).unwrap().log_filter, filter);
    }
}

#[test]
fn where_spans_go_is_told_without_what_may_be_a_secret() {
    let told = export(&[(TRACES_ENDPOINT, "http://other:9/custom?key=secret")]).unwrap().told();
    assert_eq!(told, "Spans go to http://other:9/custom as OTLP over HTTP.");
}

#[test]
fn gzip_is_the_compression_there_is() {
    let gzip = |value| {
        let endpoint = (ENDPOINT, "http://collector:4318");
        export(&[endpoint, ("OTEL_EXPORTER_OTLP_COMPRESSION", value)]).unwrap().gzip
    };
    assert!(gzip("gzip"));
    assert!(!gzip("none") && !gzip(""));
}

const HTTPS: (&str, &str) = (ENDPOINT, "https://collector:4318");
const AUTHORITY: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";
const CLIENT: &str = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE";
const KEY: &str = "OTEL_EXPORTER_OTLP_CLIENT_KEY";

/// A file in a folder that lives as long as it.
fn file(content: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.pem");
    std::fs::write(&path, content).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

#[test]
fn certificates_are_read_from_their_files_when_the_endpoint_is_https() {
    let made = rcgen::generate_simple_self_signed(["collector".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let (_kept, certificate_at) = file(&certificate);
    let (_kept_too, key_at) = file(&key);
    let own = [(AUTHORITY, &*certificate_at), (CLIENT, &certificate_at), (KEY, &key_at)];
    let config = export(&[&[HTTPS], &own[..]].concat()).unwrap();
    assert_eq!(config.tls.authorities.as_deref(), Some(certificate.as_bytes()));
    let identity = Identity { certificate: certificate.into(), key: key.into() };
    assert_eq!(config.tls.identity, Some(identity));
    assert!(!format!("{config:?}").contains("key"), "{config:?}");
    // Without https they change nothing, which is said.
    let mut plain = read(&[&[(ENDPOINT, "http://collector:4318")], &own[..]].concat()).unwrap();
    plain.notice_unread(own);
    assert_eq!(plain.export.unwrap().tls, Tls::default());
    for (variable, _) in own {
        let told = plain.notices.iter().filter(|notice| notice.contains(variable)).count();
        assert_eq!(told, 1, "{variable}: {:?}", plain.notices);
    }
    let mut secure = read(&[HTTPS, own[0]]).unwrap();
    secure.notice_unread([own[0]]);
    assert!(secure.notices.is_empty());
}

#[test]
fn a_certificate_that_cannot_be_used_is_refused_at_start() {
    let made = rcgen::generate_simple_self_signed(["collector".to_owned()]).unwrap();
    let (_kept, certificate) = file(&made.cert.pem());
    let (_kept_too, key) = file(&made.signing_key.serialize_pem());
    let (_and_this, neither) = file("-----BEGIN NOTHING-----");
    for (variables, named) in [
        (&[(AUTHORITY, "/not/there.pem")][..], AUTHORITY),
        (&[(AUTHORITY, &neither)], AUTHORITY),
        (&[(AUTHORITY, &key)], AUTHORITY),
        (&[(CLIENT, &*certificate), (KEY, &neither)], KEY),
        (&[(CLIENT, &key), (KEY, &key)], CLIENT),
        // One without the other.
        (&[(CLIENT, &certificate)], CLIENT),
        (&[(KEY, &key)], KEY),
    ] {
        let sentence = refused(&[&[HTTPS], variables].concat());
        assert!(sentence.starts_with(named), "{sentence}");
        assert_eq!(sentence.lines().count(), 1, "{sentence}");
    }
}
