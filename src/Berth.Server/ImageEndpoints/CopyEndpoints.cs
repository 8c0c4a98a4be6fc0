using System.Buffers;
using System.IO.Pipelines;
using System.Threading.Channels;
using Berth.Api.Images;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Content;
using Berth.Oci.Distribution;
using Berth.Oci.Images;
using Berth.Oci.Layers;
using Berth.Oci.Repositories;
using Berth.Server.Access;
using Berth.Server.Callbacks;
using Berth.Server.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Berth.Server.ImageEndpoints;

/// <summary>
/// Copies images between this server and other registries, telling its progress line by line. What fails before the
/// first line is an ordinary refusal; what fails later is the last line.
/// </summary>
internal sealed partial class CopyEndpoints(
    IContentStore content, RepositoryStore repositories, ILayerStore layers, GuardedConnection guard,
    ImageReadiness readiness, TimeProvider time, ILogger<CopyEndpoints> logger)
{
    // Progress is worth nothing when it is old: the newest of it is kept for a slow reader.
    private const int Pending = 256;

    public async Task PullAsync(HttpContext context)
    {
        CopyRequest request = await JsonBody.ReadAsync(context, ImageJson.Default.CopyRequest);
        ImageReference source = ImageReference.Parse(request.Source ?? "");
        ImageReference target = RequestedImage.Own(ImageReference.Parse(request.Target ?? ""), context.Request);
        using RegistryConnection connection = Connect(source, request, "source");
        bool mayOverwrite = Caller.Of(context).May(Permission.ImageOverwrite);
        using StoreRepository store = new(content, repositories, target.Repository, mayOverwrite);
        await TellAsync(context, async (progress, stop) =>
        {
            CopyOptions options = new(
                PlatformChoice.Here,
                (layer, diffId, token) => layers.EnsureUnpackedAsync(layer, diffId, token), progress);
            ImageCopier copier = new(connection.Repository(source), store, options);
            Digest digest = await copier.CopyAsync(source.TagOrDigest, target.Tag, stop);
            readiness.Expect(digest);
            return digest;
        });
    }

    public async Task PushAsync(HttpContext context)
    {
        CopyRequest request = await JsonBody.ReadAsync(context, ImageJson.Default.CopyRequest);
        ImageReference source = RequestedImage.Own(ImageReference.Parse(request.Source ?? ""), context.Request);
        ImageReference target = ImageReference.Parse(request.Target ?? "");
        using RegistryConnection connection = Connect(target, request, "target");
        using StoreRepository store = new(content, repositories, source.Repository);
        await TellAsync(context, (progress, stop) =>
        {
            ImageCopier copier = new(store, connection.Repository(target), new CopyOptions(null, null, progress));
            return copier.CopyAsync(source.TagOrDigest, target.Tag, stop);
        });
    }

    private RegistryConnection Connect(ImageReference other, CopyRequest request, string which)
    {
        Uri address = RegistryConnection.AddressOf(other, request.Insecure) ?? throw new BerthException(
            ErrorCode.InvalidReference,
            $"The {which} '{other}' names no other registry: "
            + $"write its host first, for instance registry.example/{other}.");
        RegistryCredentials? credentials = request.Username is null
            ? null
            : new RegistryCredentials(request.Username, request.Password ?? "");
        return new RegistryConnection(address, credentials, time, guard.ConnectAsync);
    }

    private async Task TellAsync(HttpContext context, Func<Action<CopyStep>, CancellationToken, Task<Digest>> copy)
    {
        Channel<CopyProgress> lines = Channel.CreateBounded<CopyProgress>(
            new BoundedChannelOptions(Pending) { FullMode = BoundedChannelFullMode.DropOldest, SingleReader = true });
        Task<Digest> copying = CopyAsync();
        PipeWriter writer = context.Response.BodyWriter;
        try
        {
            await foreach (CopyProgress line in lines.Reader.ReadAllAsync(context.RequestAborted))
            {
                await WriteAsync(line);
            }

            Digest digest = await copying;
            await WriteAsync(new CopyProgress("done", null, null, null, digest.Text, null));
        }
        catch (BerthException refusal) when (context.Response.HasStarted)
        {
            await WriteAsync(new CopyProgress("failed", null, null, null, null, refusal.Message));
        }
        catch (BerthException refusal) when (refusal.Code == ErrorCode.Unauthorized)
        {
            // 401 would say that the caller's own token is not valid here.
            throw new BerthException(
                ErrorCode.Upstream,
                $"{refusal.Message} That is the other registry's word: "
                + "give a username and password that it takes.", refusal);
        }
        catch (Exception defect) when (context.Response.HasStarted && defect is not OperationCanceledException)
        {
            LogDefect(context.Request.Path, defect);
            await WriteAsync(new CopyProgress(
                "failed", null, null, null, null, "Berth failed; the server's log has the cause."));
        }
        finally
        {
            // Where the caller has gone the copy ends soon, but what it uses must not be disposed before.
            await ((Task)copying).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        async Task<Digest> CopyAsync()
        {
            try
            {
                return await copy(
                    step => lines.Writer.TryWrite(new CopyProgress(
                        step.Phase.ToString().ToLowerInvariant(), step.Blob?.Text, step.Done, step.Total, null, null)),
                    context.RequestAborted);
            }
            finally
            {
                lines.Writer.Complete();
            }
        }

        async Task WriteAsync(CopyProgress line)
        {
            if (!context.Response.HasStarted)
            {
                context.Response.ContentType = "application/x-ndjson";
            }

            writer.Write(JsonText.Of(line, ImageJson.Default.CopyProgress).Span);
            writer.Write("\n"u8);
            await writer.FlushAsync(context.RequestAborted);
        }
    }

    [LoggerMessage(EventId = 120, Level = LogLevel.Error, Message = "{Path} failed by a defect")]
    private partial void LogDefect(string path, Exception exception);
}
