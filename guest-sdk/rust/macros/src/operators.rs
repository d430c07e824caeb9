//! Expands `operators!`: several operators in one component.

use std::collections::HashSet;

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::{
    Error, LitStr, Path, Result, Token,
    parse::{Parse, ParseStream, Parser},
    punctuated::Punctuated,
};

use crate::operator::component;

/// `"name" => Operator`.
struct Member {
    name: LitStr,
    of: Path,
}

impl Parse for Member {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let name = input.parse()?;
        input.parse::<Token![=>]>()?;
        Ok(Member { name, of: input.parse()? })
    }
}

pub(crate) fn expand(members: TokenStream) -> Result<TokenStream> {
    let members = Punctuated::<Member, Token![,]>::parse_terminated.parse2(members)?;
    if members.is_empty() {
        return Err(Error::new(proc_macro2::Span::call_site(), "`operators!` names operators: `\"name\" => Operator`"));
    }
    let mut seen = HashSet::new();
    if let Some(twice) = members.iter().find(|member| !seen.insert(member.name.value())) {
        return Err(Error::new_spanned(&twice.name, "this name is given twice"));
    }
    let names: Vec<&LitStr> = members.iter().map(|member| &member.name).collect();
    let of: Vec<&Path> = members.iter().map(|member| &member.of).collect();
    let variants: Vec<Ident> = (0..members.len()).map(|i| Ident::new(&format!("Member{i}"), names[i].span())).collect();
    let component = component(&quote!(Operators), false);
    Ok(quote! {
        /// The operators of this component; the key `operator` of their configuration chooses one.
        pub struct Operators {
            chosen: Chosen,
        }

        enum Chosen {
            #( #variants(::std::boxed::Box<<#of as ::wasmill_sdk::Operator>::Runs>), )*
        }

        impl ::wasmill_sdk::Operator for Operators {
            type Runs = Operators;
            const NAME: &'static str = ::core::env!("CARGO_PKG_NAME");
            const VERSION: &'static str = ::core::env!("CARGO_PKG_VERSION");
        }

        impl ::wasmill_sdk::BatchOperator for Operators {
            fn open(setup: &mut ::wasmill_sdk::Setup) -> ::wasmill_sdk::Result<Self> {
                let name = setup.choose(&[#( #names ),*])?;
                #( if name == #names {
                    let operator = <<#of as ::wasmill_sdk::Operator>::Runs as ::wasmill_sdk::BatchOperator>::open(setup)?;
                    return ::core::result::Result::Ok(Operators { chosen: Chosen::#variants(::std::boxed::Box::new(operator)) });
                } )*
                ::core::unreachable!("`choose` returns one of the names")
            }

            fn process(
                &mut self,
                call: &mut ::wasmill_sdk::Call<'_>,
                input: u32,
                batch: ::wasmill_sdk::Batch,
            ) -> ::wasmill_sdk::Result<()> {
                match &mut self.chosen { #( Chosen::#variants(operator) => operator.process(call, input, batch), )* }
            }

            fn on_timers(
                &mut self,
                call: &mut ::wasmill_sdk::Call<'_>,
                domain: ::wasmill_sdk::backend::TimeDomain,
                timers: ::wasmill_sdk::TimerBatch,
            ) -> ::wasmill_sdk::Result<()> {
                match &mut self.chosen { #( Chosen::#variants(operator) => operator.on_timers(call, domain, timers), )* }
            }

            fn snapshot(&mut self, call: &mut ::wasmill_sdk::Call<'_>, epoch: u64) -> ::wasmill_sdk::Result<()> {
                match &mut self.chosen { #( Chosen::#variants(operator) => operator.snapshot(call, epoch), )* }
            }

            fn snapshot_step(&mut self, call: &mut ::wasmill_sdk::Call<'_>, max_bytes: u32) -> ::wasmill_sdk::Result<bool> {
                match &mut self.chosen { #( Chosen::#variants(operator) => operator.snapshot_step(call, max_bytes), )* }
            }

            fn finish(&mut self, call: &mut ::wasmill_sdk::Call<'_>) -> ::wasmill_sdk::Result<()> {
                match &mut self.chosen { #( Chosen::#variants(operator) => operator.finish(call), )* }
            }
        }

        #component
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_there_and_told_apart() {
        assert!(expand(quote!()).unwrap_err().to_string().contains("names operators"));
        let twice = quote!("a" => A, "b" => B, "a" => C);
        assert_eq!(expand(twice).unwrap_err().to_string(), "this name is given twice");
        assert!(expand(quote!("a" => A, "b" => module::B,)).is_ok());
    }
}
