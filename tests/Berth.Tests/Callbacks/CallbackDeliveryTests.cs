using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Berth.Api.Runs;
using Berth.Core.Callbacks;
using Berth.Core.Runs;
using Berth.Tests.Runs;
using Berth.Testing.Clocks;
using Berth.Testing.Runs;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Xunit;

namespace Berth.Tests.Callbacks;

public sealed class CallbackDeliveryTests : IAsyncLifetime
{
    private static readonly CancellationToken None = CancellationToken.None;

    private readonly ConcurrentQueue<(IHeaderDictionary Headers, byte[] Body)> received = new();
    private readonly ManualTime time = new();
    private Func<HttpContext, Task> answer = _ => Task.CompletedTask;
    private WebApplication receiver = null!;
    private RunManagerRig rig = null!;
    private Uri target = null!;

    public async ValueTask InitializeAsync()
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        receiver = builder.Build();
        receiver.Run(async context =>
        {
            MemoryStream body = new();
            await context.Request.Body.CopyToAsync(body, None);
            // Copied: the server uses its own collection again for the next request.
            received.Enqueue((new HeaderDictionary(context.Request.Headers.ToDictionary()), body.ToArray()));
            await answer(context);
        });
        await receiver.StartAsync(None);
        string address = receiver.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>(
            )!.Addresses.Single();
        target = new Uri(address + "/hook");
        rig = await RunManagerRig.StartAsync(time);
        await rig.StopAsync(TimeSpan.Zero);
        rig.Callbacks = new CallbackPolicy(["127.0.0.1"]);
        await rig.BeginAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await rig.DisposeAsync();
        await receiver.DisposeAsync();
    }

    [Fact]
    public async Task An_ended_run_is_told_once_signed_with_its_id_as_key()
    {
        Run run = await RunAsync();
        await EventAsync(run.Id, RunEventTypes.CallbackDelivered);

        (IHeaderDictionary headers, byte[] body) = Assert.Single(received);
        RunView view = JsonSerializer.Deserialize(body, RunJson.Default.RunView)!;
        Assert.Equal((run.Id.Text, "succeeded"), (view.Id, view.State));
        Assert.Equal(run.Id.Text, headers["Idempotency-Key"]);
        string[] signature = headers["Berth-Signature"].ToString().Split(
            ["t=", ",v1="], StringSplitOptions.RemoveEmptyEntries);
        byte[] signed = [.. Encoding.ASCII.GetBytes(signature[0] + "."), .. body];
        Assert.Equal(Convert.ToHexStringLower(HMACSHA256.HashData("a secret"u8, signed)), signature[1]);
        Assert.Equal(1, rig.Manager.Statistics().CallbacksDelivered);
    }

    [Fact]
    public async Task A_refused_callback_is_sent_again_byte_for_byte()
    {
        answer = context =>
        {
            context.Response.StatusCode = received.Count < 3 ? 500 : 204;
            return Task.CompletedTask;
        };

        Run run = await RunAsync();
        await EventAsync(run.Id, RunEventTypes.CallbackDelivered);

        Assert.Equal(3, received.Count);
        Assert.Single(received.Select(entry => Convert.ToHexString(entry.Body)).Distinct());
    }

    [Fact]
    public async Task A_redirect_is_not_followed()
    {
        answer = context =>
        {
            context.Response.StatusCode = received.Count == 1 ? 307 : 200;
            context.Response.Headers.Location = "http://169.254.169.254/";
            return Task.CompletedTask;
        };

        Run run = await RunAsync();
        await EventAsync(run.Id, RunEventTypes.CallbackDelivered);

        Assert.Equal(2, received.Count);
    }

    [Fact]
    public async Task An_endless_answer_is_cut_off()
    {
        answer = async context =>
        {
            byte[] flood = new byte[64 * 1024];
            try
            {
                for (int i = 0; i < 10_000; i++)
                {
                    await context.Response.Body.WriteAsync(flood, context.RequestAborted);
                }
            }
            catch (OperationCanceledException)
            {
                // As it should be.
                return;
            }
        };

        Run run = await RunAsync();

        await EventAsync(run.Id, RunEventTypes.CallbackDelivered);
    }

    [Fact]
    public async Task A_callback_that_fails_for_a_day_is_given_up_with_an_event()
    {
        answer = context =>
        {
            context.Response.StatusCode = 503;
            return Task.CompletedTask;
        };
        Run run = await RunAsync();
        await RunManagerTests.Until(() => Advance(() => received.Count > 1), "it was tried twice");

        await RestartADayLaterAsync();

        string detail = await EventAsync(run.Id, RunEventTypes.CallbackFailed);
        Assert.Contains("503", detail, StringComparison.Ordinal);
        Assert.Equal(0, (await rig.Store.CountAsync(None)).Callbacks);
    }

    [Fact]
    public async Task A_name_is_judged_by_the_address_it_has_when_it_is_connected_to()
    {
        // localhost passes at submission here, because 127.0.0.1 is allowed; the second server allows nothing any more.
        answer = context =>
        {
            context.Response.StatusCode = 500;
            return Task.CompletedTask;
        };
        target = new Uri($"http://localhost:{target.Port}/");
        Run run = await RunAsync();
        await RunManagerTests.Until(() => Advance(() => !received.IsEmpty), "it was tried");
        rig.Callbacks = CallbackPolicy.PublicOnly;
        await RestartADayLaterAsync();
        int before = received.Count;

        string detail = await EventAsync(run.Id, RunEventTypes.CallbackFailed);
        Assert.Contains("no public address", detail, StringComparison.Ordinal);
        Assert.Equal(before, received.Count);
    }

    [Fact]
    public async Task A_clock_set_back_holds_no_callback_up()
    {
        answer = context =>
        {
            context.Response.StatusCode = received.Count == 1 ? 500 : 200;
            return Task.CompletedTask;
        };
        Run run = await RunAsync();
        await RunManagerTests.Until(() => Advance(() => received.Count == 1), "it was tried");

        time.Jump(-TimeSpan.FromHours(2));

        await EventAsync(run.Id, RunEventTypes.CallbackDelivered);
    }

    [Fact]
    public async Task A_host_that_does_not_answer_holds_up_only_its_own_callbacks()
    {
        TaskCompletionSource hole = new(TaskCreationOptions.RunContinuationsAsynchronously);
        answer = context => context.Request.Host.Host == "127.0.0.1" ? hole.Task : Task.CompletedTask;
        for (int i = 0; i < 150; i++)
        {
            await RunAsync();
        }

        target = new Uri($"http://localhost:{target.Port}/");
        long begun = time.GetTimestamp();
        Run other = await RunAsync();
        await EventAsync(other.Id, RunEventTypes.CallbackDelivered);
        TimeSpan passed = time.GetElapsedTime(begun);
        int asked = received.Count(entry => entry.Headers.Host.ToString().StartsWith("127.", StringComparison.Ordinal));
        hole.SetResult();

        Assert.True(passed < TimeSpan.FromSeconds(10), $"It took {passed}.");
        Assert.InRange(asked, 0, 4);
        await RunManagerTests.Until(
            () => Advance(() => rig.Manager.Statistics().CallbacksDelivered == 151), "all are delivered");
    }

    private Task<Run> RunAsync() => rig.RunAsync(["true"], with: spec => spec with { Callback = target });

    private async Task<string> EventAsync(RunId id, string type)
    {
        string? detail = null;
        await RunManagerTests.Until(
            async () =>
            {
                detail = (await rig.Manager.WhyAsync(id, None)).Events.FirstOrDefault(e => e.Type == type)?.Detail;
                return await Advance(() => detail is not null);
            },
            $"there is an event {type}");
        return detail!;
    }

    // Not advanced on the way: what is being sent would run into its limit of 10 s, which is on this clock too.
    private async Task RestartADayLaterAsync()
    {
        await rig.StopAsync(TimeSpan.Zero);
        time.Jump(TimeSpan.FromHours(25));
        await rig.BeginAsync();
    }

    private Task<bool> Advance(Func<bool> done)
    {
        if (done())
        {
            return Task.FromResult(true);
        }

        // Less than the client's limit of 10 s for one delivery, which runs on this clock too.
        time.Advance(TimeSpan.FromMilliseconds(5));
        return Task.FromResult(false);
    }
}
