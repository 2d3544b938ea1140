//! What `bindgen!` makes of `wit/`: the traits that [`crate::host`] implements, and the typed exports of each kind of plugin.
#![allow(missing_docs, unreachable_pub, reason = "generated; the items are documented in wit/")]
#![allow(clippy::all, reason = "generated")]

wasmtime::component::bindgen!({
    path: "../../wit",
    inline: "
        package windlass:host;
        world host {
            include windlass:plugin/step-plugin@0.1.0;
            include windlass:plugin/provider-plugin@0.1.0;
        }
    ",
    world: "windlass:host/host",
    // A host function may wait, and may end the guest.
    imports: { default: async | trappable },
    exports: { default: async },
    with: {
        "windlass:plugin/containers.container-spec": crate::guest::SpecHandle,
        "windlass:plugin/containers.container": crate::guest::ContainerHandle,
        "windlass:plugin/artifacts.artifact": crate::guest::ArtifactHandle,
        "windlass:plugin/artifacts.reader": crate::guest::ReaderHandle,
        "windlass:plugin/artifacts.writer": crate::guest::WriterHandle,
        "windlass:plugin/secrets.secret": crate::guest::SecretHandle,
        "windlass:plugin/http.request": crate::guest::RequestHandle,
        "windlass:plugin/http.response": crate::guest::ResponseHandle,
    },
});
