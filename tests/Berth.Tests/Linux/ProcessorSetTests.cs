using System.Globalization;
using Berth.Node.Linux;
using Xunit;

namespace Berth.Tests.Linux;

/// <summary>What a process is bound to, and that it gets rid of that again.</summary>
public sealed class ProcessorSetTests
{
    private readonly IReadOnlyList<int> own = ProcessorSet.OfThisProcess().Numbers;

    [Fact]
    public async Task A_bound_process_has_one_processor_until_it_has_those_of_this_one()
    {
        using ReadinessPoller poller = new();
        using PidHandle program = Spawner.Start(new SpawnSpec("/bin/sleep", ["600"]), poller);
        try
        {
            string before = AllowedTo(program.Pid);

            Assert.True(ProcessorSet.Of(own[^1]).Bind(program.Pid));
            Assert.Equal(own[^1].ToString(CultureInfo.InvariantCulture), AllowedTo(program.Pid));

            ProcessorSet.OfItsChildren().BindAll(program.Pid);
            Assert.Equal(before, AllowedTo(program.Pid));
        }
        finally
        {
            program.Signal(PidHandle.SigKill);
            await program.Exited;
        }
    }

    [Fact]
    public void What_has_ended_is_left_alone()
    {
        const int NeverThere = int.MaxValue;

        Assert.False(ProcessorSet.Of(own[0]).Bind(NeverThere));
        ProcessorSet.OfItsChildren().BindAll(NeverThere);
    }

    private static string AllowedTo(int process)
    {
        const string Field = "Cpus_allowed_list:";
        return File.ReadLines($"/proc/{process}/status")
            .First(l => l.StartsWith(Field, StringComparison.Ordinal))[Field.Length..].Trim();
    }
}
