# The operator on a small base, without a shell and without root.
FROM rust:1.95.0-bookworm AS build
WORKDIR /src
# The image has this toolchain; rust-toolchain.toml would add components that a build does not need.
ENV RUSTUP_TOOLCHAIN=1.95.0
COPY . .
RUN cargo build --locked --release --package notion-sync-operator --bin notion-sync-operator

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/notion-sync-operator /usr/local/bin/notion-sync-operator
USER 65532:65532
EXPOSE 8080 8081
ENTRYPOINT ["/usr/local/bin/notion-sync-operator"]
CMD ["run"]
