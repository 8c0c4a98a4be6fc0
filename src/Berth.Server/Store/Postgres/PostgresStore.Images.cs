using Berth.Core.Images;

namespace Berth.Server.Store.Postgres;

// Names of images that all servers have alike.
public sealed partial class PostgresStore
{
    private const string Images = "images";

    async Task<IReadOnlyList<SharedName>> IClusterStore.NewNamesAsync(CancellationToken cancellationToken) =>
        await ReadTopicAsync(
            Images,
            "repository, name, digest, size, at, gone FROM images WHERE images.number > " + AfterText(Images),
            row => new SharedName(
                row.Text(1), row.Text(2), Digest.Parse(row.Text(3)), row.Int64(4), RunRows.Time(row.Int64(5)),
                row.Int64(6) != 0),
            cancellationToken);

    Task IClusterStore.PutNamesAsync(IReadOnlyList<SharedName> names, CancellationToken cancellationToken) =>
        database.WriteAsync(
            isNew: true,
            () => new PostgresStatement(
                "WITH c AS (UPDATE changes SET number = number + 1 WHERE topic = 'images' RETURNING number), "
                + "w AS (INSERT INTO images (repository, name, digest, size, at, gone, number) "
                + "SELECT t.repository, t.name, t.digest, t.size, t.at, t.gone, c.number FROM c, "
                + "unnest($1, $2, $3, $4, $5, $6) AS t (repository, name, digest, size, at, gone) "
                + "ON CONFLICT (repository, name) DO UPDATE SET digest = excluded.digest, size = excluded.size, "
                + "at = excluded.at, gone = excluded.gone, number = excluded.number WHERE images.at <= excluded.at) "
                + "SELECT number FROM c, pg_notify('" + Channel + "', '')")
                .Bind(names.Select(n => n.Repository)).Bind(names.Select(n => n.Name))
                .Bind(names.Select(n => n.Digest.Text)).Bind(names.Select(n => n.Size))
                .Bind(names.Select(n => RunRows.Micros(n.At))).Bind(names.Select(n => n.IsGone ? 1L : 0L)),
            cancellationToken);
}
