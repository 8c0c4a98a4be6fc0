using Berth.Core.Containers;

namespace Berth.Server.Store.Postgres;

// Volumes.
public sealed partial class PostgresStore
{
    private const string Volumes = "volumes";

    async Task<IReadOnlyList<Volume>> IVolumeStore.AllVolumesAsync(CancellationToken cancellationToken) =>
        await ReadTopicAsync(
            Volumes, "name, node, created_at, creator FROM volumes",
            row => new Volume(row.Text(1), row.NullableText(2), RunRows.Time(row.Int64(3)), row.Text(4)),
            cancellationToken);

    Task IVolumeStore.PutVolumeAsync(Volume volume, CancellationToken cancellationToken) => ChangeAsync(
        Volumes, isNew: true,
        "w AS (INSERT INTO volumes (name, node, created_at, creator) SELECT $3, $4, $5, $6 FROM c"
        + " ON CONFLICT (name) DO UPDATE SET node = excluded.node)",
        statement => statement.Bind(volume.Name).Bind(volume.Node).Bind(RunRows.Micros(volume.CreatedAt))
            .Bind(volume.Creator),
        cancellationToken);

    Task IVolumeStore.DeleteVolumeAsync(string name, CancellationToken cancellationToken) => ChangeAsync(
        Volumes, isNew: false, "w AS (DELETE FROM volumes WHERE name = $3 AND EXISTS (SELECT 1 FROM c))",
        statement => statement.Bind(name), cancellationToken);
}
