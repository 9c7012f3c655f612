# Built with everything, run with what production needs, as nobody in particular.
FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY verifier/package.json verifier/
RUN npm ci
COPY prisma prisma
COPY tsconfig.json tsconfig.build.json ./
COPY scripts scripts
COPY verifier verifier
COPY src src
RUN npm run build:prisma && npx tsc --build verifier && npx tsc --project tsconfig.build.json

FROM node:24-bookworm-slim AS production
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY verifier/package.json verifier/
RUN npm ci --omit=dev --omit=optional && npm cache clean --force

FROM node:24-bookworm-slim
ENV NODE_ENV=production HOST=0.0.0.0 KEYS_DIR=/keys DATA_DIR=/data
WORKDIR /app
COPY --from=production /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY --from=build /app/verifier/dist verifier/dist
COPY verifier/package.json verifier/
COPY package.json ./
COPY prisma/migrations prisma/migrations
COPY scripts/keyturn.js scripts/keyturn.js
RUN ln -s /app/scripts/keyturn.js /usr/local/bin/keyturn \
 && mkdir /keys /data && chown node:node /keys /data && chmod 700 /keys /data
USER node
VOLUME ["/keys"]
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT || 3000}/health/ready`).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "dist/src/main.js"]
