import { definePlan } from 'holdfast';

export default definePlan({
  cluster: { name: 'wishcraft', connection: { env: 'DATABASE_URL' } },
  repository: { primary: { env: 'HOLDFAST_REPOSITORY' }, passphrase: { env: 'HOLDFAST_PASSPHRASE' } },
});
