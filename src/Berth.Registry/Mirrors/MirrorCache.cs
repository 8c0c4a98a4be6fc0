using System.Security.Cryptography;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Content;
using Berth.Oci.Distribution;
using Berth.Oci.Images;
using Berth.Oci.Repositories;
using Berth.Registry.Policies;
using Microsoft.Extensions.Logging;

namespace Berth.Registry.Mirrors;

/// <summary>
/// Makes repositories a cache of another registry's. A tag is asked for upstream again when it was not for a minute; a
/// digest never, once it is here. Blobs are stored as they stream through to whoever asked, one fetch for all of them.
/// When upstream fails, what is here is served.
/// </summary>
internal sealed class MirrorCache : IAsyncDisposable
{
    // Each is a connection, a file and its callers.
    private const int MostFetches = 64;

    private readonly RegistryOptions options;
    private readonly ContentStore content;
    private readonly RepositoryStore repositories;
    private readonly ILogger logger;
    private readonly UpstreamConnections connections;
    private readonly CancellationTokenSource stopping = new();
    private readonly UpstreamQuestions<ManifestLink> questions;
    private readonly ReferrersCache referrers;
    private readonly Dictionary<(string Repository, Digest Digest), BlobFetch> fetches = [];
    private readonly Lock gate = new();

    public MirrorCache(
        RegistryOptions options, ContentStore content, RepositoryStore repositories, TimeProvider time, ILogger logger)
    {
        this.options = options;
        this.content = content;
        this.repositories = repositories;
        this.logger = logger;
        questions = new UpstreamQuestions<ManifestLink>(time, logger, stopping.Token);
        connections = new UpstreamConnections(time, options.ConnectUpstream);
        referrers = new ReferrersCache(repositories, connections, time, logger, stopping.Token);
    }

    private PolicyStore? Policies => options.Policies;

    /// <summary>Whether the repository is a cache, so that nothing can be pushed to it.</summary>
    public bool Covers(string repository) => Policies?.UpstreamOf(repository) is not null;

    /// <summary>
    /// The manifest that a reference names, fetched or asked about upstream where need be; null when there is none.
    /// Throws <c>Upstream</c> when that fails and nothing is here.
    /// </summary>
    public Task<ManifestLink?> FindManifestAsync(
        string repository, string reference, CancellationToken cancellationToken)
    {
        ManifestLink? here = repositories.FindManifest(repository, reference);
        here = here is not null && content.SizeOf(here.Digest) is not null ? here : null;
        if (Policies?.UpstreamOf(repository) is not { } upstream
            || (here is not null && (Digest.TryParse(reference, out _) || questions.IsFresh(repository, reference))))
        {
            return Task.FromResult(here);
        }

        return questions.AskAsync(
            repository, reference, upstream, here,
            stop => AskUpstreamAsync(repository, reference, upstream, here, stop), cancellationToken);
    }

    /// <summary>
    /// What upstream lists as referring to a manifest, sorted by digest; null for a repository that is no cache. Throws
    /// <c>Upstream</c> when that fails and nothing is here.
    /// </summary>
    public async Task<IReadOnlyList<Descriptor>?> FindReferrersAsync(
        string repository, Digest subject, CancellationToken cancellationToken) =>
        Policies?.UpstreamOf(repository) is { } upstream
            ? await referrers.FindAsync(repository, subject, upstream, cancellationToken)
            : null;

    /// <summary>The size of a blob that is upstream and not here, or null.</summary>
    public async Task<long?> SizeOfAsync(string repository, Digest digest, CancellationToken cancellationToken) =>
        Policies?.UpstreamOf(repository) is { } upstream
            ? await SizeOfAsync(upstream, digest, cancellationToken)
            : null;

    /// <summary>
    /// Begins to fetch a blob, or joins a fetch that is under way. Null when upstream has none. The fetch ends even if
    /// everybody who asked has left.
    /// </summary>
    public async Task<BlobFetch?> FetchAsync(string repository, Digest digest, CancellationToken cancellationToken)
    {
        if (Policies?.UpstreamOf(repository) is not { } upstream)
        {
            return null;
        }

        if (FindFetch(repository, digest) is { } running)
        {
            return running;
        }

        long? size = await SizeOfAsync(upstream, digest, cancellationToken);
        if (size is null)
        {
            return null;
        }

        if (size > options.MaxBlobBytes)
        {
            throw new BerthException(
                ErrorCode.BodyTooLarge,
                $"The blob {digest} has {size} bytes upstream; at most {options.MaxBlobBytes} are taken "
                + "(upload-limit).");
        }

        lock (gate)
        {
            if (fetches.TryGetValue((repository, digest), out BlobFetch? begun))
            {
                return begun;
            }

            if (fetches.Count >= MostFetches)
            {
                throw new BerthException(
                    ErrorCode.QueueFull, $"{MostFetches} blobs are being fetched from upstream: try again in a moment.")
                {
                    RetryAfter = TimeSpan.FromSeconds(2),
                };
            }

            string path = Path.Combine(options.UploadFolder, "mirror-" + RandomNumberGenerator.GetHexString(16, true));
            BlobFetch fetch = new(new Descriptor("application/octet-stream", digest.Text, size.Value), path)
            {
                Completion = Task.CompletedTask,
            };
            fetch.Completion = Task.Run(() => RunAsync(fetch, repository, upstream), CancellationToken.None);
            fetches[(repository, digest)] = fetch;
            return fetch;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await stopping.CancelAsync();
        Task[] running;
        lock (gate)
        {
            running = [.. fetches.Values.Select(f => f.Completion)];
        }

        await Task.WhenAll(running).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        connections.Dispose();
        stopping.Dispose();
    }

    private async Task<long?> SizeOfAsync(
        UpstreamRepository upstream, Digest digest, CancellationToken cancellationToken)
    {
        try
        {
            return await connections.Of(upstream).SizeOfBlobAsync(digest, cancellationToken);
        }
        catch (BerthException e) when (IsUpstreams(e))
        {
            throw new BerthException(ErrorCode.Upstream, e.Message, e);
        }
    }

    /// <summary>What upstream thinks of our credentials, or sends in place of what it was asked for, is no fault of the
    /// caller's.</summary>
    internal static bool IsUpstreams(BerthException e) => e.Code is ErrorCode.Unauthorized or ErrorCode.Forbidden
        or ErrorCode.DigestMismatch or ErrorCode.ManifestInvalid or ErrorCode.SizeInvalid or ErrorCode.InvalidDigest;

    private BlobFetch? FindFetch(string repository, Digest digest)
    {
        lock (gate)
        {
            return fetches.GetValueOrDefault((repository, digest));
        }
    }

    private async Task<ManifestLink?> AskUpstreamAsync(
        string repository, string reference, UpstreamRepository upstream, ManifestLink? here,
        CancellationToken cancellationToken)
    {
        RegistryRepository origin = connections.Of(upstream);
        try
        {
            if (here is not null && await origin.DigestOfAsync(reference, cancellationToken) == here.Digest)
            {
                return here;
            }

            ManifestContent manifest = await origin.GetManifestAsync(reference, cancellationToken);
            using IDisposable lease = content.Lease(manifest.Digest);
            await using (IBlobWriter writer = content.BeginWrite())
            {
                await writer.WriteAsync(manifest.Bytes, cancellationToken);
                await writer.CommitAsync(manifest.Digest, cancellationToken);
            }

            string[] tags = ImageReference.IsTag(reference) ? [reference] : [];
            return repositories.PutManifest(
                repository, tags, manifest.Digest, manifest.Bytes.Length, manifest.Parse(), linkBlobs: false);
        }
        catch (BerthException e) when (e.Code == ErrorCode.ImageNotFound)
        {
            return null;
        }
        catch (BerthException e) when (IsUpstreams(e))
        {
            throw new BerthException(ErrorCode.Upstream, e.Message, e);
        }
    }

    private async Task RunAsync(BlobFetch fetch, string repository, UpstreamRepository upstream)
    {
        try
        {
            using IDisposable lease = content.Lease(fetch.Blob.Digest);
            await using Stream source = await connections.Of(upstream).OpenBlobAsync(fetch.Blob, stopping.Token);
            await fetch.RunAsync(content, source, stopping.Token);
            repositories.LinkBlob(repository, fetch.Blob.Digest);
        }
        catch (BerthException e) when (IsUpstreams(e))
        {
            Log.FetchFailed(logger, upstream.Upstream.Url, repository, fetch.Blob.Digest, e.Message);
            throw new BerthException(ErrorCode.Upstream, e.Message, e);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            Log.FetchFailed(logger, upstream.Upstream.Url, repository, fetch.Blob.Digest, e.Message);
            throw;
        }
        finally
        {
            lock (gate)
            {
                fetches.Remove((repository, fetch.Blob.Digest));
            }
        }
    }
}
