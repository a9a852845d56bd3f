//! Functions whose code is in a file of its own, fetched when it is first needed.
//!
//! The build cuts the files out (`scripts/build-site`); on the server these are functions like any
//! other. So they are in the browser with the feature `whole`, for who changes pages: one file, and
//! nothing has to be cut (`cargo leptos watch`).

/// An `async` function whose code is in a file of its own, and the function that fetches the file.
macro_rules! apart {
    (
        $(#[$doc:meta])*
        fn $name:ident($($arg:ident: $of:ty)?) -> $made:ty $body:block
        fetched by $load:ident as $file:ident
    ) => {
        $(#[$doc])*
        #[cfg(not(feature = "whole"))]
        #[::leptos::wasm_split::wasm_split(
            $file, wasm_split_path = ::leptos::wasm_split, preload($load), fallible
        )]
        fn $name($($arg: $of)?) -> Result<$made, ::leptos::wasm_split::SplitLoaderError> {
            Ok($body)
        }

        $(#[$doc])*
        #[cfg(feature = "whole")]
        async fn $name($($arg: $of)?) -> Result<$made, ::leptos::wasm_split::SplitLoaderError> {
            Ok($body)
        }

        #[cfg(feature = "whole")]
        async fn $load() -> Result<(), ::leptos::wasm_split::SplitLoaderError> {
            Ok(())
        }
    };
}
pub(crate) use apart;
