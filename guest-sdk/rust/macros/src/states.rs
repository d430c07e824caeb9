//! Derives `States`: finds the fields that are states.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, Field, Index, Result, Type};

/// Types that are states.
const STATES: &[&str] = &["ValueState", "ListState", "MapState", "ReducingState", "AggregatingState", "BroadcastState"];

pub(crate) fn expand(item: TokenStream) -> Result<TokenStream> {
    let input: DeriveInput = syn::parse2(item)?;
    let Data::Struct(data) = &input.data else {
        return Err(Error::new_spanned(&input.ident, "`States` is derived on a struct: its fields are the states"));
    };
    let states: Vec<TokenStream> = data
        .fields
        .iter()
        .enumerate()
        .filter(|(_, field)| is_state(field))
        .map(|(at, field)| member(at, field))
        .collect();
    let name = &input.ident;
    let (generics, arguments, conditions) = input.generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #generics ::wasmill_sdk::state::States for #name #arguments #conditions {
            #[inline(always)]
            fn select(&mut self, slot: ::wasmill_sdk::state::Slot) {
                let _ = slot;
                #( ::wasmill_sdk::state::State::select(&mut self.#states, slot); )*
            }

            fn visit(&mut self, visit: &mut dyn ::core::ops::FnMut(&mut dyn ::wasmill_sdk::state::StateColumn)) {
                let _ = &visit;
                #( visit(::wasmill_sdk::state::State::column(&mut self.#states)); )*
            }
        }
    })
}

fn is_state(field: &Field) -> bool {
    let marked = field.attrs.iter().any(|attribute| attribute.path().is_ident("state"));
    let named = match &field.ty {
        Type::Path(path) => {
            path.path.segments.last().is_some_and(|last| STATES.iter().any(|state| last.ident == state))
        }
        _ => false,
    };
    marked || named
}

fn member(at: usize, field: &Field) -> TokenStream {
    match &field.ident {
        Some(name) => quote!(#name),
        None => {
            let index = Index::from(at);
            quote!(#index)
        }
    }
}
