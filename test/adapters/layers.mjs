/** The data layers, each opened on a database and asked for a transaction, as its own manual has it. */
import { createRequire } from 'node:module';

const load = createRequire(new URL('project/package.json', import.meta.url));
const adapter = async (name) => import(new URL(`../../dist/src/adapters/${name}.js`, import.meta.url).href);

/** name → (url) → { transaction: (work: (client, run) => Promise) => Promise, outside: () => client, close } */
export const layers = {
  async pg(url) {
    const pool = new (load('pg').Pool)({ connectionString: url });
    const transaction = async (work) => {
      const client = await pool.connect();
      try {
        await client.query('begin');
        await work(client, (text) => client.query(text));
        await client.query('commit');
      } catch (error) {
        await client.query('rollback');
        throw error;
      } finally {
        client.release();
      }
    };
    return { transaction, outside: () => pool, close: () => pool.end() };
  },

  async 'postgres.js'(url) {
    const { fromPostgresJs } = await adapter('postgresJs');
    const sql = load('postgres')(url, { onnotice: () => undefined });
    const transaction = (work) => sql.begin((tx) => work(fromPostgresJs(tx), (text) => tx.unsafe(text)));
    return { transaction, outside: () => fromPostgresJs(sql), close: () => sql.end() };
  },

  async knex(url) {
    const { fromKnex } = await adapter('knex');
    const knex = load('knex')({ client: 'pg', connection: url });
    const transaction = (work) => knex.transaction((trx) => work(fromKnex(trx), (text) => trx.raw(text)));
    return { transaction, outside: () => fromKnex(knex), close: () => knex.destroy() };
  },

  async kysely(url) {
    const { fromKysely } = await adapter('kysely');
    const { Kysely, PostgresDialect, sql } = load('kysely');
    const db = new Kysely({
      dialect: new PostgresDialect({ pool: new (load('pg').Pool)({ connectionString: url }) }),
    });
    const transaction = (work) =>
      db.transaction().execute((trx) => work(fromKysely(trx), (text) => sql.raw(text).execute(trx)));
    return { transaction, outside: () => fromKysely(db), close: () => db.destroy() };
  },

  async 'drizzle, node-postgres'(url) {
    const pool = new (load('pg').Pool)({ connectionString: url });
    return drizzle(load('drizzle-orm/node-postgres').drizzle(pool), () => pool.end());
  },

  async 'drizzle, postgres-js'(url) {
    const client = load('postgres')(url, { onnotice: () => undefined });
    return drizzle(load('drizzle-orm/postgres-js').drizzle(client), () => client.end());
  },

  async typeorm(url) {
    const { fromTypeOrm } = await adapter('typeorm');
    load('reflect-metadata');
    const source = new (load('typeorm').DataSource)({ type: 'postgres', url });
    await source.initialize();
    const transaction = (work) =>
      source.transaction((manager) => work(fromTypeOrm(manager), (text) => manager.query(text)));
    return { transaction, outside: () => fromTypeOrm(source.manager), close: () => source.destroy() };
  },

  async 'typeorm, the manager itself'(url) {
    const { transaction, close, outside } = await typeOrmBare(url);
    return { transaction, outside, close };
  },

  async 'mikro-orm'(url) {
    const { fromMikroOrm } = await adapter('mikroOrm');
    const { MikroORM, EntitySchema } = load('@mikro-orm/postgresql');
    const thing = new EntitySchema({ name: 'Thing', properties: { id: { type: 'number', primary: true } } });
    const orm = await MikroORM.init({
      clientUrl: url,
      entities: [thing],
      discovery: { warnWhenNoEntities: false },
    });
    const transaction = (work) =>
      orm.em.fork().transactional((em) => work(fromMikroOrm(em), (text) => em.execute(text)));
    return { transaction, outside: () => fromMikroOrm(orm.em.fork()), close: () => orm.close() };
  },

  async sequelize(url) {
    const { fromSequelize } = await adapter('sequelize');
    const sequelize = new (load('sequelize').Sequelize)(url, { logging: false });
    const transaction = (work) =>
      sequelize.transaction((t) =>
        work(fromSequelize(sequelize, t), (text) => sequelize.query(text, { transaction: t })),
      );
    return {
      transaction,
      outside: () => fromSequelize(sequelize, undefined),
      close: () => sequelize.close(),
    };
  },
};

async function drizzle(db, close) {
  const { fromDrizzle } = await adapter('drizzle');
  const { sql } = load('drizzle-orm');
  const transaction = (work) =>
    db.transaction((tx) => work(fromDrizzle(tx, sql), (text) => tx.execute(sql.raw(text))));
  return { transaction, outside: () => fromDrizzle(db, sql), close };
}

async function typeOrmBare(url) {
  load('reflect-metadata');
  const source = new (load('typeorm').DataSource)({ type: 'postgres', url });
  await source.initialize();
  const transaction = (work) => source.transaction((manager) => work(manager, (text) => manager.query(text)));
  return { transaction, outside: () => source, close: () => source.destroy() };
}
