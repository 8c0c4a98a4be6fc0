using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Content;
using Berth.Oci.Images;
using Berth.Oci.Repositories;
using Berth.Registry;
using Berth.Server.Store;
using Microsoft.Extensions.Logging;

namespace Berth.Server.Cluster;

/// <summary>
/// Names of images that all servers of a store have alike: what is pushed, tagged or deleted at one is written into the
/// store before it is acknowledged, and the others take it over. Manifests come along; other content when somebody
/// needs it. Of two changes of one name the later one holds everywhere.
/// </summary>
/// <param name="isOwn">Whether a repository's names are of this server's making, and not a cache of another registry's.
/// </param>
internal sealed class SharedNames(
    IClusterStore store, RepositoryStore repositories, ContentStore content, FetchedImages fetched,
    Func<string, bool> isOwn, TimeProvider time, ILogger logger) : IImageSharing, IDisposable
{
    /// <summary>In the store.</summary>
    public const string Topic = "images";

    /// <summary>Who pushes waits so long for a store that is away; then the others hear of it later.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(3);

    /// <summary>A server starts with what it could have by then; the rest comes while it runs.</summary>
    private static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(10);

    private readonly SemaphoreSlim one = new(1, 1);
    private readonly Lock gate = new();
    private readonly HashSet<string> changed = new(StringComparer.Ordinal);

    /// <summary>As the store has them.</summary>
    private readonly Dictionary<(string Repository, string Name), SharedName> known = [];

    /// <summary>Not taken over yet: the server that has the manifest is away.</summary>
    private readonly HashSet<(string Repository, string Name)> owed = [];

    /// <summary>Takes over what the others have done while this server was away, as far as that is had soon, and tells
    /// what only it has.</summary>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        await ReadAsync(cancellationToken);
        foreach ((string Repository, string Name) key in owed.Where(k => known[k].IsGone).ToArray())
        {
            await TryTakeOverAsync(known[key], cancellationToken);
            owed.Remove(key);
        }

        foreach (string repository in repositories.AllNames())
        {
            Note(repository);
        }

        repositories.Changed = Note;
        await TellAsync(isStart: true, cancellationToken);
        using CancellationTokenSource limit = new(StartLimit, time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(
            limit.Token, cancellationToken);
        await RefreshAsync(either.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        cancellationToken.ThrowIfCancellationRequested();
    }

    /// <summary>Takes over what other servers have changed.</summary>
    public async Task RefreshAsync(CancellationToken cancellationToken)
    {
        await one.WaitAsync(cancellationToken);
        try
        {
            await ReadAsync(cancellationToken);
            // Manifests before the tags that name them.
            foreach ((string Repository, string Name) key in owed.OrderBy(k => known[k].IsTag).ToArray())
            {
                if (await TryTakeOverAsync(known[key], cancellationToken))
                {
                    owed.Remove(key);
                }
            }
        }
        finally
        {
            one.Release();
        }
    }

    /// <summary>Tells the others what has changed here. A pass: what fails is told with the next one.</summary>
    public async Task PassAsync(CancellationToken cancellationToken)
    {
        await TellAsync(isStart: false, cancellationToken);
        if (owed.Count > 0)
        {
            await RefreshAsync(cancellationToken);
        }
    }

    public async Task PublishAsync(string repository, CancellationToken cancellationToken)
    {
        using CancellationTokenSource limit = new(Patience, time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(
            limit.Token, cancellationToken);
        try
        {
            await TellAsync(isStart: false, either.Token);
        }
        catch (Exception later) when (
            later is BerthException
            || (later is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            // It is durable here; the pass tells it when the store is back.
            Log.NotTold(logger, repository, later.Message);
        }
    }

    public async Task<bool> FetchAsync(string repository, Digest blob, CancellationToken cancellationToken)
    {
        foreach (ManifestLink link in repositories.Manifests(repository))
        {
            if (await NamedAsync(link, blob, cancellationToken) is { } descriptor)
            {
                using IDisposable lease = content.Lease(blob);
                await fetched.EnsureAsync(descriptor.Digest, descriptor.Size, cancellationToken);
                repositories.AdoptBlob(repository, blob);
                return true;
            }
        }

        return false;
    }

    public void Dispose() => one.Dispose();

    private async Task ReadAsync(CancellationToken cancellationToken)
    {
        foreach (SharedName name in await store.NewNamesAsync(cancellationToken))
        {
            known[(name.Repository, name.Name)] = name;
            owed.Add((name.Repository, name.Name));
        }
    }

    private void Note(string repository)
    {
        lock (gate)
        {
            changed.Add(repository);
        }
    }

    private string[] Take()
    {
        lock (gate)
        {
            string[] taken = [.. changed];
            changed.Clear();
            return taken;
        }
    }

    /// <param name="isStart">What is not here was pushed elsewhere meanwhile, and not deleted here.</param>
    private async Task TellAsync(bool isStart, CancellationToken cancellationToken)
    {
        await one.WaitAsync(cancellationToken);
        string[] told = Take();
        try
        {
            List<SharedName> news = [.. told.Where(isOwn).SelectMany(r => DifferencesOf(r, isStart))];
            if (news.Count > 0)
            {
                await store.PutNamesAsync(news, cancellationToken);
                news.ForEach(name => known[(name.Repository, name.Name)] = name);
            }
        }
        catch
        {
            Array.ForEach(told, Note);
            throw;
        }
        finally
        {
            one.Release();
        }
    }

    private IEnumerable<SharedName> DifferencesOf(string repository, bool isStart)
    {
        HashSet<string> here = new(StringComparer.Ordinal);
        foreach (ManifestLink link in repositories.Manifests(repository))
        {
            here.Add(link.Digest.Text);
            if (!(known.GetValueOrDefault((repository, link.Digest.Text)) is { IsGone: false }))
            {
                yield return new SharedName(
                    repository, link.Digest.Text, link.Digest, link.Size, link.PushedAt, IsGone: false);
            }
        }

        foreach (TagLink tag in repositories.Tags(repository, null, int.MaxValue - 1)?.Entries ?? [])
        {
            here.Add(tag.Tag);
            if (!(known.GetValueOrDefault((repository, tag.Tag)) is { IsGone: false } there
                && (there.Digest == tag.Digest || there.At > tag.TaggedAt)))
            {
                yield return new SharedName(repository, tag.Tag, tag.Digest, 0, tag.TaggedAt, IsGone: false);
            }
        }

        DateTimeOffset now = time.GetUtcNow();
        foreach (SharedName gone in known.Values.Where(n => !isStart && n.Repository == repository && !n.IsGone
            && !here.Contains(n.Name) && !owed.Contains((n.Repository, n.Name))))
        {
            yield return gone with { At = gone.At >= now ? gone.At.AddTicks(10) : now, IsGone = true };
        }
    }

    /// <summary>False where its manifest can't be had just now.</summary>
    private async Task<bool> TryTakeOverAsync(SharedName name, CancellationToken cancellationToken)
    {
        if (name.IsGone)
        {
            repositories.Disown(name.Repository, name.Name, name.At);
            return true;
        }

        if (name.IsTag)
        {
            return repositories.AdoptTag(name.Repository, name.Name, name.Digest, name.At);
        }

        if (repositories.FindManifest(name.Repository, name.Digest) is not null)
        {
            return true;
        }

        try
        {
            using IDisposable lease = content.Lease(name.Digest);
            await fetched.EnsureAsync(name.Digest, ManifestDocument.MaxBytes, cancellationToken);
            byte[] bytes = await BlobReading.ReadAsync(
                content, name.Digest, ManifestDocument.MaxBytes, cancellationToken);
            ManifestDocument document = ManifestDocument.Parse(bytes, null);
            await TryFetchConfigAsync(document, cancellationToken);
            repositories.AdoptManifest(name.Repository, name.Digest, bytes.Length, document, name.At);
            return true;
        }
        catch (BerthException away)
        {
            Log.NameOwed(logger, name.Repository, name.Digest.Text, away.Message);
            return false;
        }
    }

    /// <summary>What an image is, is asked more often than its layers are needed.</summary>
    private async Task TryFetchConfigAsync(ManifestDocument document, CancellationToken cancellationToken)
    {
        if (document.Manifest is { Config: var config } && config.Size <= ImageConfigDocument.MaxBytes)
        {
            using IDisposable lease = content.Lease(config.Digest);
            await fetched.EnsureAsync(config.Digest, config.Size, cancellationToken);
        }
    }

    private async Task<Descriptor?> NamedAsync(ManifestLink link, Digest blob, CancellationToken cancellationToken)
    {
        if (content.SizeOf(link.Digest) is null)
        {
            return null;
        }

        byte[] bytes = await BlobReading.ReadAsync(
            content, link.Digest, ManifestDocument.MaxBytes, cancellationToken);
        return ManifestDocument.Parse(bytes, link.MediaType).Blobs.FirstOrDefault(b => b.Digest == blob);
    }
}
