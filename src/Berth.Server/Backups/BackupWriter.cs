using System.Formats.Tar;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Oci.Unix;
using Berth.Registry.Collection;
using Berth.Server.Hosting;
using Berth.Server.Store;

namespace Berth.Server.Backups;

/// <summary>
/// Writes a backup of a server that goes on working. The store comes first, as of one moment; then the writable layers
/// of containers, each as of one moment; then tags and manifests, then everything else, blobs last: what an earlier
/// part names is in a later one, because nothing is collected meanwhile. What was acknowledged before the backup began
/// is in it. One at a time.
/// </summary>
internal sealed class BackupWriter(
    string data, IRunStore store, INodeStorage storage, GarbageCollector collector, TimeProvider time)
{
    private readonly SemaphoreSlim one = new(1, 1);

    private readonly string copies = Path.Combine(data, BackupFormat.Copies);

    private string Data => data;

    private string StoreCopy => Path.Combine(copies, BackupFormat.Store);

    private string LayerCopies => Path.Combine(copies, BackupFormat.Layers);

    private TimeProvider Time => time;

    /// <summary>Copies the store and the writable layers and holds off collection. Throws <c>Conflict</c> while another
    /// backup is made, and <c>StorageFull</c> where the copies do not fit beside what they are of.</summary>
    public async Task<Backup> BeginAsync(CancellationToken cancellationToken)
    {
        if (!await one.WaitAsync(TimeSpan.Zero, cancellationToken))
        {
            throw new BerthException(
                ErrorCode.Conflict, "Another backup is being made: wait until it is done, then try again.");
        }

        IDisposable? hold = null;
        try
        {
            hold = await collector.HoldOffAsync(cancellationToken);
            Sweep();
            Directory.CreateDirectory(LayerCopies);
            await store.CopyAsync(StoreCopy, cancellationToken);
            foreach (string layer in (await storage.LayersAsync(cancellationToken)).Keys.Order(StringComparer.Ordinal))
            {
                string copy = Path.Combine(LayerCopies, layer + BackupFormat.LayerEnding);
                await storage.CopyLayerAsync(layer, copy, cancellationToken);
            }

            return new Backup(this, hold);
        }
        catch
        {
            End(hold);
            throw;
        }
    }

    /// <summary>Removes what a server left that was killed in the middle of one.</summary>
    public void Sweep()
    {
        if (Directory.Exists(copies))
        {
            Directory.Delete(copies, recursive: true);
        }
    }

    private void End(IDisposable? hold)
    {
        Sweep();
        hold?.Dispose();
        one.Release();
    }

    /// <summary>One backup under way.</summary>
    internal sealed class Backup(BackupWriter writer, IDisposable hold) : IDisposable
    {
        private readonly Dictionary<(ulong FileSystem, ulong Inode), string> named = [];
        private long entries;
        private long bytes;

        public async Task WriteAsync(Stream output, CancellationToken cancellationToken)
        {
            await using TarWriter tar = new(output, TarEntryFormat.Pax, leaveOpen: true);
            BackupHeader header = new(BackupFormat.Version, ServerVersion.Text, writer.Time.GetUtcNow());
            await WriteAsync(tar, BackupFormat.FirstEntry, header, BackupJson.Default.BackupHeader, cancellationToken);
            await WriteFileAsync(tar, BackupFormat.Store, writer.StoreCopy, attributes: null, cancellationToken);
            foreach (string copy in Directory.GetFiles(writer.LayerCopies).Order(StringComparer.Ordinal))
            {
                await WriteLayerAsync(tar, copy, cancellationToken);
            }

            foreach (string name in Order(Directory.GetFileSystemEntries(writer.Data).Select(e => Path.GetFileName(e))))
            {
                await WriteAsync(tar, name, cancellationToken);
            }

            BackupEnd end = new(entries, bytes);
            await WriteAsync(tar, BackupFormat.LastEntry, end, BackupJson.Default.BackupEnd, cancellationToken);
        }

        public void Dispose() => writer.End(hold);

        /// <summary>What names something comes before what is named.</summary>
        private static IEnumerable<string> Order(IEnumerable<string> names) => names
            .OrderBy(n => n == "blobs" ? 2 : n == "repositories" ? 0 : 1).ThenBy(n => n, StringComparer.Ordinal);

        /// <summary>A file, or a folder with all that is in it. What goes meanwhile is left out.</summary>
        private async Task WriteAsync(TarWriter tar, string name, CancellationToken cancellationToken)
        {
            string path = Path.Combine(writer.Data, name);
            if (!BackupFormat.Holds(name))
            {
                return;
            }

            FileAttributes kind;
            try
            {
                kind = File.GetAttributes(path);
            }
            catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
            {
                return;
            }

            NodeAttributes? attributes = null;
            if (BackupFormat.IsOfAVolume(name) && !TryRead(path, out attributes))
            {
                return;
            }

            if (kind.HasFlag(FileAttributes.ReparsePoint))
            {
                PaxTarEntry link = Entry(TarEntryType.SymbolicLink, name, attributes);
                link.LinkName = new FileInfo(path).LinkTarget!;
                await WriteEntryAsync(tar, link, path, attributes, cancellationToken);
            }
            else if (kind.HasFlag(FileAttributes.Directory))
            {
                await WriteEntryAsync(
                    tar, Entry(TarEntryType.Directory, name, attributes), path, attributes, cancellationToken);
                foreach (string inner in Directory.GetFileSystemEntries(path).Order(StringComparer.Ordinal))
                {
                    await WriteAsync(tar, $"{name}/{Path.GetFileName(inner)}", cancellationToken);
                }
            }
            else if (attributes is { Links: > 1 } && !named.TryAdd(attributes.Identity, name))
            {
                PaxTarEntry other = Entry(TarEntryType.HardLink, name, attributes);
                other.LinkName = named[attributes.Identity];
                await WriteEntryAsync(tar, other, path, attributes, cancellationToken);
            }
            else if (!kind.HasFlag(FileAttributes.Device))
            {
                await WriteFileAsync(tar, name, path, attributes, cancellationToken);
            }
        }

        /// <summary>False for what has gone meanwhile.</summary>
        private static bool TryRead(string path, out NodeAttributes? attributes)
        {
            try
            {
                attributes = NodeAttributes.Read(path);
                return true;
            }
            catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
            {
                attributes = null;
                return false;
            }
        }

        /// <param name="attributes">What the entry carries beside; null for what is Berth's own.</param>
        private static PaxTarEntry Entry(TarEntryType type, string name, NodeAttributes? attributes) =>
            attributes is null
                ? new PaxTarEntry(type, name)
                : new PaxTarEntry(
                    type, name,
                    attributes.Extended.Select(a => KeyValuePair.Create(
                        BackupFormat.Attribute + a.Key, Convert.ToBase64String(a.Value))))
                {
                    Uid = (int)attributes.User,
                    Gid = (int)attributes.Group,
                    Mode = attributes.Mode,
                };

        private async Task WriteFileAsync(
            TarWriter tar, string name, string path, NodeAttributes? attributes, CancellationToken cancellationToken)
        {
            FileStream file;
            try
            {
                file = new FileStream(path, new FileStreamOptions
                {
                    Access = FileAccess.Read,
                    Share = FileShare.ReadWrite | FileShare.Delete,
                    BufferSize = 0,
                    Options = FileOptions.Asynchronous | FileOptions.SequentialScan,
                });
            }
            catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
            {
                return;
            }

            await using SteadyFile content = new(file, mayShrink: attributes is not null);
            bytes += content.Length;
            PaxTarEntry entry = Entry(TarEntryType.RegularFile, name, attributes);
            entry.DataStream = content;
            entry.Mode = attributes?.Mode ?? File.GetUnixFileMode(file.SafeFileHandle);
            entry.ModificationTime = new DateTimeOffset(File.GetLastWriteTimeUtc(file.SafeFileHandle));
            entries++;
            await tar.WriteEntryAsync(entry, cancellationToken);
        }

        private async Task WriteLayerAsync(TarWriter tar, string copy, CancellationToken cancellationToken)
        {
            FileStream file = new(copy, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
            await using SparseContent content = SparseContent.Of(file);
            bytes += content.Length;
            entries++;
            PaxTarEntry entry = SparseList.EntryOf(BackupFormat.Layers, Path.GetFileName(copy), file.Length);
            entry.DataStream = content;
            entry.Mode = File.GetUnixFileMode(file.SafeFileHandle);
            await tar.WriteEntryAsync(entry, cancellationToken);
        }

        private async Task WriteEntryAsync(
            TarWriter tar, PaxTarEntry entry, string path, NodeAttributes? attributes,
            CancellationToken cancellationToken)
        {
            if (entry.EntryType == TarEntryType.Directory)
            {
                entry.Mode = attributes?.Mode ?? File.GetUnixFileMode(path);
                entry.ModificationTime = new DateTimeOffset(Directory.GetLastWriteTimeUtc(path));
            }

            entries++;
            await tar.WriteEntryAsync(entry, cancellationToken);
        }

        private static async Task WriteAsync<T>(
            TarWriter tar, string name, T content, JsonTypeInfo<T> type, CancellationToken cancellationToken)
        {
            using MemoryStream text = new(JsonSerializer.SerializeToUtf8Bytes(content, type));
            await tar.WriteEntryAsync(
                new PaxTarEntry(TarEntryType.RegularFile, name) { DataStream = text }, cancellationToken);
        }
    }
}
