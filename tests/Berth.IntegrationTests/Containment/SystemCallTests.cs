using Xunit;

namespace Berth.IntegrationTests.Containment;

/// <summary>What a program in a default sandbox gets from the kernel when it wants out.</summary>
[Collection("containers")]
public sealed class SystemCallTests(AttackProgram program)
    : SystemCallContract(program), IClassFixture<AttackProgram>;

/// <summary>The same within one container for all runs.</summary>
[Collection("containers")]
public sealed class InnerSystemCallTests(InnerAttackProgram program)
    : SystemCallContract(program), IClassFixture<InnerAttackProgram>;

/// <summary>The same in one sandbox for run after run.</summary>
[Collection("containers")]
public sealed class ReusedSystemCallTests(ReusedAttackProgram program)
    : SystemCallContract(program), IClassFixture<ReusedAttackProgram>;

public abstract class SystemCallContract(AttackProgram program)
{
    private static readonly SystemCallAttack[] All = [.. SystemCallAttacks.All.SelectMany(g => g.Attacks)];

    public static TheoryData<string> Names => [.. All.Select(a => a.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void Comes_to_what_the_table_says(string name)
    {
        SystemCallAttack attack = All.Single(a => a.Name == name);

        string asRoot = program.AsRoot[name];
        string asUser = program.AsUser[name];

        Assert.True(attack.Expects(asRoot), $"{name}: root of the sandbox got {asRoot}");
        Assert.True(
            asUser != SystemCallAttacks.Done || attack.MayBeDone, $"{name}: a plain user could do what root can't.");
    }

    [Fact]
    public void Every_attack_of_the_program_stands_in_the_table()
    {
        Assert.Equal(All.Select(a => a.Name), program.AsRoot.Keys);
        Assert.Equal(All.Select(a => a.Name), program.AsUser.Keys);
    }

    [Fact]
    public void At_most_four_calls_are_left_and_each_says_why_it_is_harmless()
    {
        SystemCallAttack[] left = [.. All.Where(a => a.MayBeDone)];

        Assert.True(All.Length >= 65, $"There are {All.Length} attacks.");
        Assert.InRange(left.Length, 0, 4);
        Assert.All(left, attack => Assert.StartsWith("harmless: ", attack.Remark, StringComparison.Ordinal));
    }
}
