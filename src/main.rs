//! The command `wholestage`; see [`wholestage::cli`].

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    wholestage::cli::main()
}
