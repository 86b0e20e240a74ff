import { definePlan } from 'holdfast';

/** What the demo needs of WishCraft's plan: which cluster, and where its backups go. */
export default definePlan({
  clusters: [{ name: 'wishcraft', connection: { env: 'DATABASE_URL' } }],
  repository: { primary: { env: 'HOLDFAST_REPOSITORY' }, passphrase: { env: 'HOLDFAST_PASSPHRASE' } },
});
