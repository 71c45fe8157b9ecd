# Debian with glibc: the Temporal SDK has no build for musl (Alpine).
FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json ./
COPY .config ./.config
COPY src ./src
COPY workflows ./workflows
COPY activities ./activities
# The SDK brings its native part for every platform; 120 MB of them are for others.
RUN npm run build \
 && npm prune --omit=dev --ignore-scripts --no-audit --no-fund \
 && find node_modules/@temporalio/core-bridge/releases -mindepth 1 -maxdepth 1 \
      ! -name "$(uname -m)-unknown-linux-gnu" -exec rm -rf {} + \
 && rm -rf dist/src/build dist/.tsbuildinfo dist/.workflow-bundle.sha256

FROM node:24-bookworm-slim
# For TLS to destinations, Temporal Cloud and PostgreSQL.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && ln -s /app/dist/src/cli/main.js /usr/local/bin/temporal-outbox
# Names whose servers do not answer hold threads: half of these are for look-ups.
ENV NODE_ENV=production \
    UV_THREADPOOL_SIZE=16 \
    OUTBOX_METRICS_LISTEN=0.0.0.0:9464
EXPOSE 9464
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
USER node
# Of `run`, `relay`, `worker` and `api`: whether they can work, at the port of OUTBOX_METRICS_LISTEN. That the process lives, the engine sees.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + process.env.OUTBOX_METRICS_LISTEN.split(':').pop() + '/readyz').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["temporal-outbox"]
CMD ["run"]
