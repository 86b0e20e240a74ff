import { formatBytes, formatCount, formatMoment, formatQuantity } from '../../lib/index.ts';
import type { Command } from '../command.ts';
import { kindWords } from '../key-words.ts';
import { listPlaces } from '../open-places.ts';
import { formatFacts, formatTable } from '../output/index.ts';

/** `holdfast repository info`. */
export const repositoryInfo: Command = {
  path: ['repository', 'info'],
  summary: 'Say what a repository is made of: format, keys, and how much it holds.',
  examples: [{ line: 'holdfast repository info', does: 'Its format, its keys, and how much it holds.' }],
  access: 'read',
  database: 'none',
  run: async ({ repository, plan }) => {
    const { listSlots, measureStore } = await import('../../repository/index.ts');
    const { format, store } = repository;
    const { slots, damaged } = await listSlots(repository);
    const { snapshots } = await repository.listSnapshots();
    const amounts = await measureStore(store);
    const bytes = [...amounts.values()].reduce((sum, amount) => sum + amount.bytes, 0);
    return {
      json: {
        repository: repository.id,
        location: plan.repository.primary!.location,
        places: listPlaces(plan.repository).map((place) => ({
          name: place.name,
          location: place.location,
          required: !('required' in place) || place.required === true,
        })),
        createdAt: format.createdAt,
        formatVersion: format.version,
        chunkId: format.chunkId,
        chunkBytes: format.chunkSize,
        compression: format.compression,
        cipher: format.cipher,
        keySlots: slots.map(({ slot, kind, label, createdAt, inUse }) => ({ slot, kind, label, createdAt, inUse })),
        damagedKeySlots: damaged,
        snapshots: snapshots.length,
        stored: Object.fromEntries([...amounts].map(([part, amount]) => [part, { ...amount }])),
        storedBytes: bytes,
      },
      text: (paint) => [
        paint.title(`Repository ${repository.id}`),
        ...formatFacts(
          [
            ['location', store.description],
            ...(store.places ?? []).slice(1).map((place) => [`copy ${place.name}`, place.store.description] as const),
            ['created', formatMoment(Date.parse(format.createdAt))],
            [
              'format',
              `version ${format.version}: ${format.cipher}, ${format.compression.algorithm} level ${format.compression.level}, chunks of ${formatBytes(format.chunkSize)} by ${format.chunkId}`,
            ],
            ['holds', `${formatQuantity(snapshots.length, 'snapshot')}, ${formatBytes(bytes)} in all`],
          ],
          paint,
        ),
        '',
        ...formatTable(
          [{ head: 'STORED' }, { head: 'OBJECTS', align: 'right' }, { head: 'SIZE', align: 'right' }],
          [...amounts].map(([part, amount]) => [part, formatCount(amount.objects), formatBytes(amount.bytes)]),
          paint,
        ),
        '',
        ...formatTable(
          [{ head: 'KEY SLOT' }, { head: 'OPENED BY' }, { head: 'LABEL' }, { head: 'SINCE' }, { head: '' }],
          slots.map(({ slot, kind, label, createdAt, inUse }) => [
            slot.slice(0, 12),
            kindWords(kind),
            label,
            formatMoment(Date.parse(createdAt)),
            inUse ? paint.good('in use now') : '',
          ]),
          paint,
        ),
        ...damaged.map((name) => paint.bad(`The key slot "${name}" cannot be read.`)),
      ],
    };
  },
};
