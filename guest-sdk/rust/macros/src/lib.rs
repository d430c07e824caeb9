//! The attribute macros of `wasmill-sdk`, which documents and re-exports them.

mod operator;
mod operators;
mod states;

use proc_macro::TokenStream;

/// Makes an operator of a function, or of a type that implements an operator trait, and exports it from the component.
///
/// A crate has one operator; it is named and versioned as its crate. Several share a component with `#[operator(shared)]` and
/// `operators!`.
///
/// On a function, the first parameter gives the codecs of the input and the second how rows are emitted:
///
/// ```text
/// #[operator]
/// fn split(line: Record<'_, (), Text>, out: &mut Output<Text, ()>) {
///     line.value.split_whitespace().for_each(|word| out.emit(word, ()));
/// }
/// ```
///
/// The function may return nothing or a `Result`. Tests name the operator by the function's name: `Harness::<split>`.
///
/// Otherwise it is put on an `impl` of `RecordOperator`, `KeyedOperator`, `KeyedBroadcastOperator` or `BatchOperator`.
#[proc_macro_attribute]
pub fn operator(arguments: TokenStream, item: TokenStream) -> TokenStream {
    operator::expand(arguments.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Exports several operators from one component; `wasmill-sdk` documents it.
#[proc_macro]
pub fn operators(members: TokenStream) -> TokenStream {
    operators::expand(members.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Tells the SDK which states a type holds: its fields whose types are named as the SDK's states (`ValueState`,
/// `ListState`, `MapState`, `ReducingState`, `AggregatingState`, `BroadcastState`), and those marked `#[state]`.
#[proc_macro_derive(States, attributes(state))]
pub fn states(item: TokenStream) -> TokenStream {
    states::expand(item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}
