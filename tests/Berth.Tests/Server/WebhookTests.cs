using System.Collections.Concurrent;
using System.Text.Json;
using Berth.Core.Callbacks;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Images;
using Berth.Oci.Repositories;
using Berth.Registry.Policies;
using Berth.Server.Callbacks;
using Berth.Server.Webhooks;
using Berth.Testing.Clocks;
using Berth.Testing.Content;
using Berth.Testing.Distribution;
using Berth.Testing.Registry;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Berth.Tests.Server;

public sealed class WebhookTests : IAsyncLifetime
{
    private static readonly byte[] Manifest = RegistryMessages.Manifest("{}"u8.ToArray(), "layer"u8.ToArray());

    private readonly TemporaryFolder folder = new();
    private readonly ManualTime time = new();
    private readonly ConcurrentQueue<(string Key, string Signature, JsonElement Event)> told = [];
    private readonly CallbackSigner signer = new("secret");
    private int refusals;
    private PlayedRegistry receiver = null!;
    private PolicyStore policies = null!;
    private WebhookOutbox outbox = null!;
    private RepositoryStore repositories = null!;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private string Url => receiver.Address + "told";

    public async ValueTask InitializeAsync()
    {
        receiver = await PlayedRegistry.StartAsync(ReceiveAsync);
        await OpenAsync();
        await policies.SetAsync(new RepositoryPolicy("team", null, null, null, null, null, [Url]), Stop);
    }

    public async ValueTask DisposeAsync()
    {
        await receiver.DisposeAsync();
        folder.Dispose();
    }

    [Fact]
    public async Task Pushes_and_removals_of_tags_are_told_signed()
    {
        Put("team/app", "v1");
        Put("team/app", "v1");
        Put("other", "v1");
        repositories.DeleteTag("team/app", "v1");

        await DeliverAsync();

        Assert.Equal(["push", "delete"], told.Select(t => t.Event.GetProperty("action").GetString()).Order().Reverse());
        (string key, string signature, JsonElement first) = told.First(
            t => t.Event.GetProperty("action").GetString() == "push");
        JsonElement target = first.GetProperty("target");
        Assert.Equal(first.GetProperty("id").GetString(), key);
        Assert.StartsWith("t=", signature, StringComparison.Ordinal);
        Assert.Equal("team/app", target.GetProperty("repository").GetString());
        Assert.Equal("v1", target.GetProperty("tag").GetString());
        Assert.Equal(Digest.Sha256(Manifest).Text, target.GetProperty("digest").GetString());
        Assert.Equal(MediaTypes.OciManifest, target.GetProperty("mediaType").GetString());
        Assert.Empty(Directory.EnumerateFiles(folder["webhooks"]));
    }

    [Fact]
    public async Task What_was_not_taken_is_told_again_by_the_next_server_too()
    {
        refusals = 1;
        Put("team/app", "v1");
        await DeliverAsync();
        Assert.Empty(told);
        await OpenAsync();
        await DeliverAsync();
        Assert.Empty(told);

        time.Advance(TimeSpan.FromSeconds(1));
        await DeliverAsync();

        Assert.Single(told);
        Assert.Empty(Directory.EnumerateFiles(folder["webhooks"]));
    }

    [Fact]
    public async Task A_change_that_was_refused_is_not_told()
    {
        await policies.SetAsync(new RepositoryPolicy("team", ["v*"], null, null, null, null, [Url]), Stop);
        Put("team/app", "v1");
        byte[] other = RegistryMessages.Manifest("{}"u8.ToArray(), "other"u8.ToArray());

        Assert.Throws<BerthException>(() => Put("team/app", "v1", other));
        Assert.Throws<BerthException>(() => repositories.DeleteTag("team/app", "v1"));

        Assert.Single(outbox.Waiting);
    }

    [Fact]
    public async Task A_receiver_that_never_takes_is_given_up_after_a_day()
    {
        refusals = int.MaxValue;
        Put("team/app", "v1");

        for (int i = 0; i < 100; i++)
        {
            await DeliverAsync();
            time.Advance(TimeSpan.FromMinutes(30));
        }

        Assert.Empty(outbox.Waiting);
        Assert.InRange(receiver.Requests.Count, 20, 60);
    }

    [Fact]
    public async Task A_receiver_on_an_address_that_is_not_allowed_is_not_called()
    {
        Put("team/app", "v1");

        await DeliverAsync(CallbackPolicy.PublicOnly);

        Assert.Empty(receiver.Requests);
        Assert.Equal(1, Assert.Single(outbox.Waiting).Value.Attempt);
    }

    private async Task OpenAsync()
    {
        policies = await PolicyStore.OpenAsync(folder["policies.json"], Stop);
        outbox = new WebhookOutbox(folder["webhooks"], policies, time, NullLogger.Instance);
        repositories = new RepositoryStore(folder["repositories"], time, null, policies, outbox);
    }

    private void Put(string repository, string tag, byte[]? manifest = null)
    {
        manifest ??= Manifest;
        repositories.PutManifest(
            repository, tag, Digest.Sha256(manifest), manifest.Length,
            ManifestDocument.Parse(manifest, MediaTypes.OciManifest));
    }

    private async Task ReceiveAsync(HttpContext context)
    {
        using JsonDocument body = await JsonDocument.ParseAsync(context.Request.Body, default, context.RequestAborted);
        if (refusals > 0)
        {
            Interlocked.Decrement(ref refusals);
            context.Response.StatusCode = StatusCodes.Status503ServiceUnavailable;
            return;
        }

        told.Enqueue((
            context.Request.Headers["Idempotency-Key"].ToString(),
            context.Request.Headers[CallbackSigner.Header].ToString(),
            body.RootElement.GetProperty("events")[0].Clone()));
    }

    private Task DeliverAsync(CallbackPolicy? policy = null) => new WebhookDelivery(
        outbox, policy ?? new CallbackPolicy(["127.0.0.1"]), signer, time, NullLogger.Instance).DeliverDueAsync(Stop);
}
