# Both services, for linux/amd64, linux/arm64 and linux/arm/v7:
#   docker build --target identity .
#   docker buildx build --platform linux/arm64 --target attendance .
#   docker buildx build --platform linux/arm/v7 --target binaries --output dist .
#
# The compiler always runs on the machine that builds, whatever the platform of the image: no emulation.
# glibc, linked statically: musl's allocator is slow under threads, and a cross compiler for C comes with Debian.

# The software bill of materials of a release comes from Cargo.lock: a stripped binary names no crates.
ARG BUILDKIT_SBOM_SCAN_CONTEXT=true

FROM --platform=$BUILDPLATFORM rust:1.95.0-slim-bookworm AS build
WORKDIR /src

ARG TARGETARCH TARGETVARIANT
RUN set -eu; \
    case "$TARGETARCH/$TARGETVARIANT" in \
        amd64/*) rust=x86_64-unknown-linux-gnu gnu=x86_64-linux-gnu debian=amd64 ;; \
        arm64/*) rust=aarch64-unknown-linux-gnu gnu=aarch64-linux-gnu debian=arm64 ;; \
        arm/v7) rust=armv7-unknown-linux-gnueabihf gnu=arm-linux-gnueabihf debian=armhf ;; \
        *) echo "There is no recipe for linux/$TARGETARCH/$TARGETVARIANT: linux/amd64, linux/arm64 and linux/arm/v7 only." >&2; exit 1 ;; \
    esac; \
    if ! command -v "$gnu-gcc" >/dev/null; then \
        apt-get update; \
        apt-get install -y --no-install-recommends "gcc-$(echo "$gnu" | tr _ -)" "libc6-dev-$debian-cross"; \
        rm -rf /var/lib/apt/lists/*; \
    fi; \
    rustup target add "$rust"; \
    mkdir -p "$CARGO_HOME"; \
    printf '[build]\ntarget = "%s"\n[target.%s]\nlinker = "%s"\nrustflags = ["-C", "target-feature=+crt-static"]\n' \
        "$rust" "$rust" "$gnu-gcc" >"$CARGO_HOME/config.toml"

# The dependencies, in a layer that stays while no Cargo.toml changes: our own crates are empty here.
COPY .cargo/config.toml .cargo/
COPY Cargo.toml Cargo.lock ./
COPY shared-http/Cargo.toml shared-http/
COPY shared-auth/Cargo.toml shared-auth/
COPY shared-store/Cargo.toml shared-store/
COPY shared-service/Cargo.toml shared-service/
COPY identity-service/Cargo.toml identity-service/
COPY attendance-service/Cargo.toml attendance-service/
COPY bench/bare-axum/Cargo.toml bench/bare-axum/
RUN set -eu; \
    for crate in shared-http shared-auth shared-store shared-service identity-service attendance-service bench/bare-axum; do \
        mkdir "$crate/src"; \
        touch "$crate/src/lib.rs"; \
        echo 'fn main() {}' >"$crate/src/main.rs"; \
    done; \
    echo 'fn main() {}' >shared-http/build.rs; \
    echo 'fn main() {}' >attendance-service/build.rs; \
    cargo build --release --locked --package identity-service --package attendance-service

# Cargo compares times, and a checkout can be older than the empty crates.
COPY . .
RUN set -eu; \
    find . -path ./target -prune -o -type f -exec touch {} +; \
    cargo build --release --locked --package identity-service --package attendance-service; \
    mkdir -p /out/data; \
    cp target/*/release/identity-service target/*/release/attendance-service /out/


FROM scratch AS binaries
COPY --from=build /out/identity-service /out/attendance-service /


FROM scratch AS service
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
ENV APP_ENV=production PORT=8000
EXPOSE 8000
ARG VERSION=unreleased REVISION=unknown
LABEL org.opencontainers.image.vendor="TixGo" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"


FROM service AS identity
LABEL org.opencontainers.image.title="TixGo identity-service" \
      org.opencontainers.image.description="Registers the users of an event committee, logs them in, says who a token belongs to"
COPY --from=build /out/identity-service /
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s CMD ["/identity-service", "healthcheck"]
ENTRYPOINT ["/identity-service"]


FROM service AS attendance
LABEL org.opencontainers.image.title="TixGo attendance-service" \
      org.opencontainers.image.description="Checks a ticket in exactly once and says who came"
COPY --from=build /out/attendance-service /
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s CMD ["/attendance-service", "healthcheck"]
ENTRYPOINT ["/attendance-service"]
