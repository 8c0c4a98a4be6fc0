using System.Collections.Concurrent;
using System.Text;
using System.Text.Json;
using Berth.Oci.Content;
using Berth.Oci.Repositories;
using Berth.Registry.Policies;
using Microsoft.Extensions.Logging;

namespace Berth.Server.Webhooks;

/// <summary>
/// Events that receivers have not taken yet, a file each, written and synced before the tag is changed: a push that was
/// answered is told of, whatever happens to the server. An event may tell of a change that a power cut undid.
/// </summary>
internal sealed class WebhookOutbox : ITagListener
{
    // A receiver that is away for its day of tries must not fill the disk.
    private const int MostWaiting = 10_000;

    private readonly string folder;
    private readonly PolicyStore policies;
    private readonly TimeProvider time;
    private readonly ILogger logger;
    private readonly ConcurrentDictionary<string, OutboxEntry> entries = new();

    public WebhookOutbox(string folder, PolicyStore policies, TimeProvider time, ILogger logger)
    {
        this.folder = folder;
        this.policies = policies;
        this.time = time;
        this.logger = logger;
        DurableFile.CreateFolder(folder);
        foreach (string file in Directory.EnumerateFiles(folder, "*.json"))
        {
            if (Read(file) is { } entry)
            {
                entries[Path.GetFileNameWithoutExtension(file)] = entry;
            }
        }
    }

    /// <summary>What waits, by id.</summary>
    public IReadOnlyDictionary<string, OutboxEntry> Waiting => entries;

    public Action Announce(IReadOnlyList<TagChange> changes)
    {
        List<string> written = [];
        foreach (TagChange change in changes)
        {
            foreach (string url in policies.WebhooksOf(change.Repository))
            {
                if (entries.Count >= MostWaiting)
                {
                    Log.OutboxFull(logger, url, change.Repository, change.Tag, MostWaiting);
                    continue;
                }

                // A version 7 id sorts by time.
                DateTimeOffset now = time.GetUtcNow();
                string id = Guid.CreateVersion7(now).ToString("N");
                Write(id, new OutboxEntry(url, BodyOf(id, change, now), 0, now, now));
                written.Add(id);
            }
        }

        return () => written.ForEach(Remove);
    }

    public void Defer(string id, OutboxEntry entry, DateTimeOffset next) =>
        Write(id, entry with { Attempt = entry.Attempt + 1, Due = next });

    public void Remove(string id)
    {
        File.Delete(PathOf(id));
        entries.TryRemove(id, out _);
    }

    private static string BodyOf(string id, TagChange change, DateTimeOffset now)
    {
        ManifestLink manifest = change.Manifest;
        WebhookTarget target = new(
            manifest.MediaType, manifest.Size, manifest.Size, manifest.Digest.Text, change.Repository, change.Tag,
            $"/v2/{change.Repository}/manifests/{manifest.Digest}");
        string action = change.Action == TagAction.Push ? "push" : "delete";
        return Encoding.UTF8.GetString(JsonSerializer.SerializeToUtf8Bytes(
            new WebhookEnvelope([new WebhookEvent(id, now, action, target)]), WebhookJson.Default.WebhookEnvelope));
    }

    private OutboxEntry? Read(string file)
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllBytes(file), WebhookJson.Default.OutboxEntry);
        }
        catch (JsonException e)
        {
            Log.OutboxUnreadable(logger, file, e.Message);
            return null;
        }
    }

    private void Write(string id, OutboxEntry entry)
    {
        DurableFile.Replace(PathOf(id), JsonSerializer.SerializeToUtf8Bytes(entry, WebhookJson.Default.OutboxEntry));
        entries[id] = entry;
    }

    private string PathOf(string id) => Path.Combine(folder, id + ".json");
}
