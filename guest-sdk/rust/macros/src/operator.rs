//! Expands `#[operator]` on a function and on an `impl`.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{
    Error, FnArg, GenericArgument, ImplItem, Item, ItemFn, ItemImpl, Meta, PathArguments, Result, Type, TypePath,
    parse_quote, spanned::Spanned,
};

const FUNCTION: &str = "an operator function takes a record and an output: \
     `fn name(record: Record<'_, Key, Value>, out: &mut Output<Key, Value>)`, \
     with `MapValues<Value>` instead of `Output` to give each row another value";

const IMPL: &str = "`#[operator]` is put on an `impl` of `RecordOperator`, `KeyedOperator`, `KeyedBroadcastOperator`, \
     `KeyedTwoInputOperator`, `WindowOperator`, `ProcessWindowOperator` or `BatchOperator` for a type";

const ITEM: &str = "`#[operator]` is put on a function, or on an `impl` of `RecordOperator`, `KeyedOperator`, `KeyedBroadcastOperator`, \
     `KeyedTwoInputOperator`, `WindowOperator`, `ProcessWindowOperator` or `BatchOperator`";

const ARGUMENTS: &str =
    "`#[operator]` takes no arguments but `shared`: `#[operator(shared)]`, for one that `operators!` names";

const SHARED_MIGRATES: &str = "an operator that migrates state has a component of its own: which operator's state it is \
     could not be told";

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let shared = match arguments.to_string().as_str() {
        "" => false,
        "shared" => true,
        _ => return Err(Error::new_spanned(arguments, ARGUMENTS)),
    };
    match syn::parse2(item)? {
        Item::Fn(function) => of_function(&function, shared),
        Item::Impl(implementation) => of_impl(&implementation, shared),
        other => Err(Error::new(other.span(), ITEM)),
    }
}

fn of_impl(item: &ItemImpl, shared: bool) -> Result<TokenStream> {
    let Some((_, path, _)) = &item.trait_ else { return Err(Error::new_spanned(&item.self_ty, IMPL)) };
    if !item.generics.params.is_empty() {
        return Err(Error::new_spanned(&item.generics, "an operator is exported: its type cannot be generic"));
    }
    let of = &item.self_ty;
    let joined = |runs: TokenStream| quote!(::wasmill_sdk::operator::KeyedTwoInputs<::wasmill_sdk::join::#runs>);
    let runs = match path.segments.last().map(|last| last.ident.to_string()).as_deref() {
        Some("RecordOperator") => quote!(::wasmill_sdk::operator::Records<#of>),
        Some("KeyedOperator") => quote!(::wasmill_sdk::operator::Keyed<#of>),
        Some("KeyedBroadcastOperator") => quote!(::wasmill_sdk::operator::KeyedBroadcast<#of>),
        Some("KeyedTwoInputOperator") => quote!(::wasmill_sdk::operator::KeyedTwoInputs<#of>),
        Some("OrderedOperator") => quote!(::wasmill_sdk::operator::Keyed<::wasmill_sdk::ordered::Ordered<#of>>),
        Some("WindowJoin") => joined(quote!(WindowJoined<#of>)),
        Some("IntervalJoin") => joined(quote!(IntervalJoined<#of>)),
        Some("TemporalJoin") => joined(quote!(TemporalJoined<#of>)),
        Some("Deduplicate") => quote!(::wasmill_sdk::operator::Keyed<::wasmill_sdk::deduplicate::Deduplicated<#of>>),
        Some("TopN") => quote!(::wasmill_sdk::operator::Keyed<::wasmill_sdk::top_n::TopOfKeys<#of>>),
        Some("WindowTopN") => quote! {
            ::wasmill_sdk::operator::Keyed<::wasmill_sdk::window::Windowed<::wasmill_sdk::top_n::TopOfWindows<#of>>>
        },
        Some("WindowOperator") => quote!(::wasmill_sdk::operator::Keyed<::wasmill_sdk::window::Windowed<#of>>),
        Some("ProcessWindowOperator") => quote! {
            ::wasmill_sdk::operator::Keyed<::wasmill_sdk::window::Windowed<::wasmill_sdk::window::AllRows<#of>>>
        },
        Some("BatchOperator") => quote!(#of),
        _ => return Err(Error::new_spanned(path, IMPL)),
    };
    let migrates =
        item.items.iter().any(|member| matches!(member, ImplItem::Fn(method) if method.sig.ident == "migrate"));
    if shared && migrates {
        return Err(Error::new_spanned(of, SHARED_MIGRATES));
    }
    let export = export(of, &runs, migrates, shared);
    let item = inlined(item.clone());
    Ok(quote! { #item #export })
}

/// What is called once a record becomes part of the loop that calls it: LLVM alone does not always see that this pays.
fn inlined(mut item: ItemImpl) -> ItemImpl {
    for member in &mut item.items {
        if let ImplItem::Fn(method) = member
            && ["process", "process_left", "process_right", "add"].iter().any(|name| method.sig.ident == name)
        {
            method.attrs.retain(|attribute| !matches!(&attribute.meta, Meta::Path(path) if path.is_ident("inline")));
            if !method.attrs.iter().any(|attribute| attribute.path().is_ident("inline")) {
                method.attrs.push(parse_quote!(#[inline(always)]));
            }
        }
    }
    item
}

fn of_function(function: &ItemFn, shared: bool) -> Result<TokenStream> {
    let signature = &function.sig;
    let plain = signature.asyncness.is_none() && signature.unsafety.is_none() && signature.abi.is_none();
    if !plain || signature.variadic.is_some() {
        return Err(Error::new_spanned(signature, "an operator function is a plain `fn`"));
    }
    if !signature.generics.params.is_empty() {
        return Err(Error::new_spanned(&signature.generics, "an operator is exported: its function cannot be generic"));
    }
    let inputs: Vec<&FnArg> = signature.inputs.iter().collect();
    let [FnArg::Typed(record), FnArg::Typed(out)] = inputs[..] else {
        return Err(Error::new(signature.paren_token.span.join(), FUNCTION));
    };
    let (key, value) = codecs(&record.ty)?;
    let Type::Reference(out) = &*out.ty else { return Err(Error::new_spanned(&out.ty, FUNCTION)) };
    if out.mutability.is_none() {
        return Err(Error::new_spanned(out, FUNCTION));
    }
    let (name, visibility, out) = (&signature.ident, &function.vis, &out.elem);
    let documentation = function.attrs.iter().filter(|attribute| attribute.path().is_ident("doc"));
    let export = export(&name.to_token_stream(), &quote!(::wasmill_sdk::operator::Records<#name>), false, shared);
    Ok(quote! {
        #function

        // The function's name as a type. It has braces, so that it is none as a value.
        #( #documentation )*
        #[allow(non_camel_case_types, reason = "named as the function")]
        #visibility struct #name {}

        impl ::wasmill_sdk::operator::RecordOperator for #name {
            type Key = #key;
            type Value = #value;
            type Output = #out;

            fn open(_: &mut ::wasmill_sdk::Setup) -> ::wasmill_sdk::Result<Self> {
                ::core::result::Result::Ok(#name {})
            }

            #[inline(always)]
            fn process(
                &mut self,
                record: ::wasmill_sdk::Record<'_, #key, #value>,
                _: &mut ::wasmill_sdk::Call<'_>,
                out: &mut Self::Output,
            ) -> ::wasmill_sdk::Result<()> {
                ::wasmill_sdk::Outcome::into_result(#name(record, out))
            }
        }

        #export
    })
}

/// `Key` and `Value` of `Record<'_, Key, Value>`.
fn codecs(record: &Type) -> Result<(&Type, &Type)> {
    let error = || Error::new_spanned(record, FUNCTION);
    let Type::Path(TypePath { path, .. }) = record else { return Err(error()) };
    let last = path.segments.last().filter(|last| last.ident == "Record").ok_or_else(error)?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return Err(error()) };
    let types: Vec<&Type> = arguments
        .args
        .iter()
        .filter_map(|argument| match argument {
            GenericArgument::Type(of) => Some(of),
            _ => None,
        })
        .collect();
    match types[..] {
        [key, value] => Ok((key, value)),
        _ => Err(error()),
    }
}

/// Names the operator after its crate, and exports it from a component unless it is `shared`.
fn export(of: &impl ToTokens, runs: &TokenStream, migrates: bool, shared: bool) -> TokenStream {
    let component = (!shared).then(|| component(of, migrates));
    quote! {
        impl ::wasmill_sdk::Operator for #of {
            type Runs = #runs;
            const NAME: &'static str = ::core::env!("CARGO_PKG_NAME");
            const VERSION: &'static str = ::core::env!("CARGO_PKG_VERSION");
        }

        // Natively nothing exports it, and a private operator would seem to be unused.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn(&mut ::wasmill_sdk::Setup) -> ::wasmill_sdk::Result<#runs> =
            <#runs as ::wasmill_sdk::operator::BatchOperator>::open;

        #component
    }
}

/// The exports of a component; `migrate` too if the operator has it, as an export says to the host that it can.
pub(crate) fn component(of: &impl ToTokens, migrates: bool) -> TokenStream {
    let migration = migrates.then(|| {
        quote!(::wasmill_sdk::bindings::migrating::export_migration!(
            Component with_types_in ::wasmill_sdk::bindings::migrating
        );)
    });
    quote! {
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, clippy::all, reason = "generated by wit-bindgen")]
        const _: () = {
            type Component = ::wasmill_sdk::export::Component<#of>;
            ::wasmill_sdk::bindings::export!(Component with_types_in ::wasmill_sdk::bindings);
            #migration
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(arguments: TokenStream, item: TokenStream) -> String {
        expand(arguments, item).unwrap_err().to_string()
    }

    #[test]
    fn a_wrong_signature_is_told_what_is_expected() {
        let wrong = [
            quote!(
                fn f(line: Record<'_, (), Text>) {}
            ),
            quote!(
                fn f(line: &str, out: &mut Output<Text, ()>) {}
            ),
            quote!(
                fn f(line: Record<'_, Text>, out: &mut Output<Text, ()>) {}
            ),
            quote!(
                fn f(line: Record<'_, (), Text>, out: Output<Text, ()>) {}
            ),
            quote!(
                fn f(line: Record<'_, (), Text>, out: &Output<Text, ()>) {}
            ),
            quote!(
                fn f(self, out: &mut Output<Text, ()>) {}
            ),
        ];
        for function in wrong {
            assert_eq!(error(quote!(), function.clone()), FUNCTION, "{function}");
        }
    }

    #[test]
    fn what_cannot_be_an_operator_is_refused() {
        let generic = quote!(
            fn f<T>(line: Record<'_, (), T>, out: &mut Output<T, ()>) {}
        );
        assert!(error(quote!(), generic).contains("cannot be generic"));
        let generic = quote!(
            impl<T> KeyedOperator for Count<T> {}
        );
        assert!(error(quote!(), generic).contains("cannot be generic"));
        let asynchronous = quote!(
            async fn f(line: Record<'_, (), Text>, out: &mut Output<Text, ()>) {}
        );
        assert!(error(quote!(), asynchronous).contains("a plain `fn`"));
        assert_eq!(
            error(
                quote!(),
                quote!(
                    impl Count {}
                )
            ),
            IMPL
        );
        assert_eq!(
            error(
                quote!(),
                quote!(
                    impl Iterator for Count {}
                )
            ),
            IMPL
        );
        assert_eq!(
            error(
                quote!(),
                quote!(
                    struct Count;
                )
            ),
            ITEM
        );
        assert_eq!(error(quote!(name = "x"), quote!()), ARGUMENTS);
        let migrating = quote!(
            impl KeyedOperator for Count {
                fn migrate(migration: &mut Migration) -> Result<()> {}
            }
        );
        assert_eq!(error(quote!(shared), migrating), SHARED_MIGRATES);
    }

    #[test]
    fn codecs_come_from_the_record() {
        let record: Type = syn::parse_quote!(wasmill_sdk::Record<'_, Option<Text>, Json<(u8, u8)>>);
        let (key, value) = codecs(&record).unwrap();
        assert_eq!(quote!(#key; #value).to_string(), quote!(Option<Text>; Json<(u8, u8)>).to_string());
    }
}
