using System.Text.Json.Serialization;

namespace Berth.Server.Backups;

/// <summary>
/// What a backup is: a tar archive of the data folder's files under their own names, between a first entry that says
/// what it is and a last one that says that it is whole.
/// </summary>
internal static class BackupFormat
{
    /// <summary>1 knew no writable layers of containers.</summary>
    public const int Version = 2;

    public const string FirstEntry = "berth-backup.json";
    public const string LastEntry = "berth-backup.end";

    public const string Store = "berth.db";

    /// <summary>The writable layers of containers, one file each.</summary>
    public const string Layers = "containers";
    public const string LayerEnding = ".ext4";

    /// <summary>Copies that are made for a backup.</summary>
    public const string Copies = "backup";

    /// <summary>Stands in a folder that is being restored, until it is whole: no server starts on it.</summary>
    public const string UnfinishedMark = "restoring";

    /// <summary>What is only of this server, of this moment, or can be made again. The store and the layers are copied
    /// by themselves.</summary>
    private static readonly HashSet<string> LeftOut = new(StringComparer.Ordinal)
    {
        "lock", "berth.db", "berth.db-wal", "berth.db-shm", "berth.ballast", "uploads", "layers", "overflow", Copies,
        Layers, "server.id", "lost+found", "blobs/temp", "blobs/corrupt", UnfinishedMark,
    };

    /// <summary>Begins the names of extended attributes in an entry's pax records, as libarchive writes them: the value
    /// is base64.</summary>
    public const string Attribute = "LIBARCHIVE.xattr.";

    /// <summary>Whether a file or folder of the data folder belongs into a backup.</summary>
    /// <param name="name">Relative to the data folder.</param>
    public static bool Holds(string name) => IsOfAVolume(name) || IsOurs(name);

    /// <summary>What is in volumes is not ours: whatever it is called, it is kept, with its owner and all.</summary>
    public static bool IsOfAVolume(string name) => name.StartsWith("volumes/", StringComparison.Ordinal);

    private static bool IsOurs(string name) =>
        !LeftOut.Contains(name) && !name.EndsWith(".tmp", StringComparison.Ordinal)
        && !(name.StartsWith("repositories/", StringComparison.Ordinal) && Path.GetFileName(name).StartsWith('.'));
}

/// <summary>The first entry.</summary>
internal sealed record BackupHeader(int Format, string Version, DateTimeOffset CreatedAt);

/// <summary>The last entry.</summary>
internal sealed record BackupEnd(long Entries, long Bytes);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(BackupHeader))]
[JsonSerializable(typeof(BackupEnd))]
internal sealed partial class BackupJson : JsonSerializerContext;
