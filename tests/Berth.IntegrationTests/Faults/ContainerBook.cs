using System.Net;
using System.Net.Http.Json;
using Berth.Api.Containers;
using Berth.IntegrationTests.EndToEnd;
using Xunit;

namespace Berth.IntegrationTests.Faults;

/// <summary>
/// A user's own record of containers and volumes: those that must be there, those that must be gone, and one that is
/// always to run. One caller at a time.
/// </summary>
internal sealed class ContainerBook(ServerProcess server)
{
    private const string Keeper = "keeper";

    private readonly HashSet<string> containers = [];
    private readonly HashSet<string> volumes = [];
    private readonly HashSet<string> gone = [];
    private int count;

    /// <summary>Containers that were made and removed again.</summary>
    public int Removed => gone.Count(name => name.StartsWith('c'));

    /// <summary>Makes the one that is always to run.</summary>
    public async Task BeginAsync()
    {
        await CreateAsync(Keeper, "exec sleep 100000", "always", null);
        await PostAsync($"/v1/containers/{Keeper}/start");
    }

    /// <summary>A volume and a container come, run, end or are stopped, and go; a backup is made meanwhile.</summary>
    public async Task StepAsync()
    {
        int number = count++;
        (string container, string volume) = ($"c{number}", $"v{number}");
        using (HttpResponseMessage made = await server.Http.PostAsJsonAsync(
            "/v1/volumes", new VolumeRequest(volume), ContainerJson.Default.VolumeRequest))
        {
            await IsDoneAsync(made);
        }

        volumes.Add(volume);
        bool isStopped = number % 2 == 0;
        await CreateAsync(container, $"echo up >> /v/starts; sleep {(isStopped ? "60" : "0.1")}", "no", volume);
        await PostAsync($"/v1/containers/{container}/start");
        if (isStopped)
        {
            await PostAsync($"/v1/containers/{container}/stop?grace=0s");
        }

        await BackUpAsync();
        ContainerView view = await FindAsync($"/v1/containers/{container}?wait=20s");
        Assert.Equal("exited", view.State);
        // Until its end is acknowledged, it may be there or not.
        containers.Remove(container);
        await DeleteAsync($"/v1/containers/{container}?force=true");
        gone.Add(container);
        volumes.Remove(volume);
        await DeleteAsync($"/v1/volumes/{volume}");
        gone.Add(volume);
    }

    /// <summary>Everything acknowledged is there, what was removed is not, the one that is to run does, and nothing
    /// else runs.</summary>
    public async Task IsTrueAsync()
    {
        await Condition.HoldsAsync(
            "the container that is always to run does",
            async () => await FindAsync($"/v1/containers/{Keeper}") is { State: "running" } ? null : "not yet");
        ContainerView[] found = (await server.Http.GetFromJsonAsync(
            "/v1/containers?all=true&limit=1000", ContainerJson.Default.ContainerPage))!.Containers.ToArray();
        string[] names = [.. found.Select(c => c.Name)];
        Assert.Empty(containers.Except(names));
        Assert.Empty(gone.Intersect(names));
        Assert.All(
            found.Where(c => c.Name != Keeper),
            c => Assert.True(c.State is "created" or "exited", $"{c.Name} is {c.State}"));
        string[] kept = [.. (await server.Http.GetFromJsonAsync("/v1/volumes", ContainerJson.Default.VolumeList))!
            .Volumes.Select(v => v.Name)];
        Assert.Empty(volumes.Except(kept));
        Assert.Empty(gone.Intersect(kept));
        string running = "";
        await Condition.HoldsAsync(
            "its run is among those that run, as soon as that is written down",
            async () =>
            {
                running = await server.Http.GetStringAsync("/v1/runs?state=running");
                string run = (await FindAsync($"/v1/containers/{Keeper}")).Run!;
                return running.Contains(run, StringComparison.Ordinal) ? null : running;
            });
        Assert.Single(System.Text.Json.JsonDocument.Parse(running).RootElement.GetProperty("runs").EnumerateArray());
        HashSet<string> ids = [.. found.Select(c => c.Id)];
        string[] layers = [.. Directory.EnumerateFileSystemEntries(Path.Combine(server.Data, "containers"))
            .Select(f => Path.GetFileName(f)).Where(f => !ids.Any(id => f.StartsWith(id, StringComparison.Ordinal)))];
        Assert.Empty(layers);
        await ServerTraces.AreOnlySandboxesAsync(server);
    }

    private async Task CreateAsync(string name, string script, string restart, string? volume)
    {
        ContainerRequest request = new(
            "demo/busybox", name, Command: ["sh", "-c", script], Restart: restart, Disk: "16Mi", Grace: "1s",
            Mounts: volume is null ? null : [new MountView("volume", volume, "/v")]);
        using HttpResponseMessage made = await server.Http.PostAsJsonAsync(
            "/v1/containers", request, ContainerJson.Default.ContainerRequest);
        await IsDoneAsync(made);
        containers.Add(name);
    }

    private async Task BackUpAsync()
    {
        using HttpResponseMessage backup = await server.Http.GetAsync("/v1/backup");
        await IsDoneAsync(backup);
    }

    private async Task<ContainerView> FindAsync(string address)
    {
        using HttpResponseMessage answer = await server.Http.GetAsync(address);
        await IsDoneAsync(answer);
        return (await answer.Content.ReadFromJsonAsync(ContainerJson.Default.ContainerView))!;
    }

    private async Task PostAsync(string address)
    {
        using HttpResponseMessage answer = await server.Http.PostAsync(address, null);
        await IsDoneAsync(answer);
    }

    private async Task DeleteAsync(string address)
    {
        using HttpResponseMessage answer = await server.Http.DeleteAsync(address);
        await IsDoneAsync(answer);
    }

    private static async Task IsDoneAsync(HttpResponseMessage answer)
    {
        if (answer.StatusCode is HttpStatusCode.ServiceUnavailable or HttpStatusCode.BadGateway)
        {
            throw new HttpRequestException("The server refuses.");
        }

        Assert.True(answer.IsSuccessStatusCode, $"{answer}\n{await answer.Content.ReadAsStringAsync()}");
    }
}
